// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <holdfast/invalid_options.hpp>
#include <holdfast/testing/virtual_time.hpp>
#include <optional>

#include "callers.hpp"
#include "executors.hpp"
#include "oracle.hpp"

namespace gen {

namespace {

constexpr int most_steps = 100'000;

class virtual_world final : public world {
 public:
  explicit virtual_world(const trial& t, std::uint64_t seed) : order_(seed) {
    clients = t.clients;
    operations.resize(clients.size());
    if (t.place.context == context_kind::serial) {
      context_.emplace(1);
    } else {
      context_.emplace();
    }
    time_.emplace(*context_, seed);
    auto made = make_executor(*context_, t.place.executor, owner_);
    home = made.executor;
    knows_home = made.here;
    elsewhere = elsewhere_->get_executor();
  }

  ~virtual_world() override { destroy(); }

  hf::time_point now() const override { return time_ ? time_->now() : last_; }

  void later(hf::duration d, asio::any_io_executor where,
             asio::any_completion_handler<void()> f) override {
    ++events_;
    hf::sleep_for(d, asio::bind_executor(
                         context_->get_executor(),
                         [this, where = std::move(where), f = std::move(f)](error_code) mutable {
                           --events_;
                           asio::post(where, std::move(f));
                         }));
  }

  /// The smallest step, here or elsewhere. False: nothing is left to do.
  bool step() {
    if (order_() % 2 && step_elsewhere()) return true;
    return time_->step_one() || step_elsewhere();
  }

  void destroy() {
    if (!context_) return;
    gone = true;
    last_ = time_->now();
    knows_home = nullptr;
    home = elsewhere = {};
    elsewhere_.reset();
    time_.reset();
    context_.reset();
  }

  /// Nothing of ours keeps the context busy.
  void check_context() {
    if (time_->timers() != static_cast<std::size_t>(events_)) {
      complain("timers-left", fmt::format("{} timers are armed, and all has ended",
                                          time_->timers() - static_cast<std::size_t>(events_)));
    }
  }
  void check_idle() {
    home = {};
    knows_home = nullptr;
    context_->restart();
    context_->poll();
    if (!context_->stopped()) complain("context-busy", "run() would not return");
    if (owner_.copies != 0) {
      complain("executor-kept", fmt::format("{} copies of an executor are kept",
                                            owner_.copies.load()));
    }
  }

 private:
  bool step_elsewhere() {
    if (elsewhere_->stopped()) elsewhere_->restart();
    return elsewhere_->poll_one() != 0;
  }

  own_executor::owner owner_;
  chance order_;
  hf::time_point last_{};
  int events_ = 0;
  std::optional<asio::io_context> context_;
  std::optional<hf::testing::virtual_time> time_;
  std::optional<asio::io_context> elsewhere_{1};
};

/// One more operation with the same pipeline, in a context of its own: places that timeouts gave to
/// calls which they left behind are free again, whatever became of those.
void encore(world& before, const any_stack& stack) {
  if (!before.facts.detaches || before.facts.has('n')) return;
  trial t;
  t.clients.resize(1);
  t.clients.front().call.acts.resize(1);
  t.clients.front().key = 0;
  virtual_world w(t, 1);
  w.facts = before.facts;
  start_client(w, stack, 0);
  for (int steps = 0; steps < most_steps && w.step(); ++steps) {
  }
  const operation_record& o = w.operations.front();
  if (!o.ended) {
    before.complain("encore-hangs", "a later operation in another context does not end");
  } else if (o.result && o.result->has_error() &&
             o.result->assume_error().code() == hf::errc::too_many_detached) {
    before.complain("detached-left", "a later operation is refused, since calls are said to be left "
                                     "behind, and none is");
  }
}

}  // namespace

verdict_of run_virtual(draw& d) {
  const trial t = read(d, false);
  virtual_world w(t, d.seed);
  std::unique_ptr<any_stack> stack;
  materials m(w);
  try {
    stack = make_stack(d, m);
  } catch (const hf::invalid_options&) {
    return {.kind = {}, .what = {}, .skipped = true};
  }
  stack->each_part([&w](part& p) { p.tell(w.facts); });

  for (std::size_t i = 0; i < w.clients.size(); ++i) {
    const int op = static_cast<int>(i);
    const client& c = w.clients[i];
    start_client(w, *stack, op);
    if (c.cancels == cancel_when::before_first_step) w.cancel(op, c.type);
    if (c.cancels == cancel_when::later) {
      w.later(c.cancels_after, w.home, [&w, op, type = c.type] { w.cancel(op, type); });
    }
  }
  int steps = 0;
  bool rested = false;
  while (!w.failed()) {
    if (t.end.kind == end_kind::destroys && steps == static_cast<int>(t.end.step)) break;
    if (t.end.kind == end_kind::drops_objects && steps == static_cast<int>(t.end.step)) {
      stack->each_part([](part& p) { p.let_go(); });
    }
    if (t.end.kind == end_kind::drops_stack && w.unfinished == 0 && stack) {
      check_operations(w);
      stack.reset();
    }
    if (!rested && w.unfinished == 0 && w.running == 0 && stack) {
      rested = true;
      check_operations(w);
      // What runs in the background has yet to come to its end.
      if (!w.facts.refreshes) check_rest(w, *stack);
      check_budget(w, m);
    }
    if (!w.step()) break;
    if (++steps > most_steps) {
      w.complain("livelock", "the trial does not come to its end");
    }
  }
  if (t.end.kind == end_kind::destroys || w.failed()) {
    w.destroy();
  } else {
    if (w.unfinished != 0) {
      for (std::size_t i = 0; i < w.operations.size(); ++i) {
        const auto& o = w.operations[i];
        if (o.completions + o.drops == 0) {
          w.complain("hang", fmt::format("operation {} has not ended, and there is no timer left",
                                         i));
        }
      }
    }
    if (w.running != 0) w.complain("attempt-hangs", "an attempt has not ended");
    check_operations(w);
    if (stack) check_rest(w, *stack);
    w.check_context();
    w.check_idle();
    w.destroy();
  }
  for (const operation_record& o : w.operations) {
    if (o.completions + o.drops != 1 && !w.failed()) {
      w.complain("not-once", "an operation was neither completed nor dropped, or both");
    }
  }
  if (w.frames != 0) w.complain("frames-left", "frames outlived their context");
  if (stack && !w.failed()) check_rest(w, *stack);
  if (stack && !w.failed()) encore(w, *stack);
  stack.reset();
  if (w.callables != 0) {
    w.complain("callables-left", fmt::format("{} callables are left", w.callables.load()));
  }
  return {.kind = w.kind(), .what = w.what(), .skipped = false};
}

}  // namespace gen
