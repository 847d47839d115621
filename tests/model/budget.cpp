// SPDX-License-Identifier: BSL-1.0
// The retry budget: what is drawn, and the tokens.
#include <array>
#include <holdfast/detail/retry_budget_core.hpp>

#include "explore.hpp"

namespace {

namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::detail::retry_budget_core;

constexpr hf::time_point start{1h};

struct with_budget : model::threads {
  static constexpr int count = 3;
  explicit with_budget(const hf::retry_budget_options& o) : budget(o) {}
  retry_budget_core budget;
  unsigned granted = 0;

  void reserve() {
    if (budget.try_reserve(start)) ++granted;
  }
};

/// Tokens above half are worth a retry each, whoever asks at once; what is given back is there.
struct tokens_are_spent_once : with_budget {
  tokens_are_spent_once() : with_budget({.mode = hf::budget_mode::tokens, .max_tokens = 6}) {}
  void thread(unsigned n) override {
    reserve();
    if (n == 0) reserve();
  }
  void after() override {
    MUST(granted == 2);
    budget.release(start, start);
    reserve();
    reserve();
    MUST(granted == 3);
  }
};

/// Failures take and successes give, and the tokens stay between nothing and all.
struct tokens_stay_in_bounds : with_budget {
  tokens_stay_in_bounds()
      : with_budget({.mode = hf::budget_mode::tokens, .max_tokens = 2, .token_ratio = 1.0}) {}
  void thread(unsigned n) override {
    if (n == 0) {
      budget.on_failure();
      budget.on_success();
    } else if (n == 1) {
      budget.on_failure();
      budget.on_failure();
    } else {
      budget.on_success();
      budget.on_success();
    }
  }
  void after() override {
    const double tokens = budget.snapshot(start).tokens;
    MUST(tokens >= 0.0 && tokens <= 2.0);
    // Three failures and three successes: what was lost at an end of the scale is all.
    for (int i = 0; i < 2; ++i) budget.on_success();
    MUST(budget.snapshot(start).tokens == 2.0);
  }
};

/// No more is drawn than the calls pay for, and in the end all that they pay for can be.
struct never_overdrawn : with_budget {
  never_overdrawn() : with_budget({.ratio = 0.5, .min_per_second = 0.0}) {}
  void before() override { reserve(); }  // begins the period: nothing is there
  void thread(unsigned n) override {
    if (n < 2) {
      budget.on_call(start);
      budget.on_call(start);
    }
    reserve();
    MUST(granted <= 2);
  }
  void after() override {
    reserve();
    reserve();
    reserve();
    MUST(granted == 2);
  }
};

}  // namespace

int main(int argc, char** argv) {
  model::explorer e(argc, argv);
  e.explore<tokens_are_spent_once>("tokens are spent once", 10'000);
  e.explore<tokens_stay_in_bounds>("tokens stay in bounds", 10'000);
  e.explore<never_overdrawn>("never overdrawn", 10'000);
  return e.result();
}
