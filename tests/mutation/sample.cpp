// SPDX-License-Identifier: BSL-1.0
// A kernel and its test, for the test of the mutator: it is known which mutants the test kills.
#include <atomic>

namespace {

constexpr int most = 2 + 1;  // known when it is compiled: no mutants

struct counter {
  std::atomic<int> value{0};
  int last = 7;

  /// Counts up to the limit. Where the test looks, `>` and `>=` tell nothing else.
  void count(int by) {
    int next = value.load(std::memory_order_acquire) + by;
    if (next > most) next = most;
    value.store(next);
    last = by;
  }
};

static_assert(most - 1 == 2);

bool nobody_asks(int x) { return x == 0; }

}  // namespace

int main(int argc, char**) {
  counter c;
  c.count(1);
  if (c.value != 1) return 1;
  c.count(5);
  if (argc > 99 && nobody_asks(argc)) return 1;
  return c.value == most ? 0 : 1;
}
