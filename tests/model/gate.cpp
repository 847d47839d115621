// SPDX-License-Identifier: BSL-1.0
// The gate of an attempt, the functions that pass it, and the cancellation under it.
#include <array>
#include <holdfast/detail/cancellation_scope.hpp>
#include <memory>
#include <mutex>
#include <optional>

#include "explore.hpp"

namespace {

namespace asio = boost::asio;
using holdfast::detail::cancel_reason;
using holdfast::detail::cancellation_scope;
using holdfast::detail::gate;
using holdfast::detail::scope_listener;

/// Functions run one at a time, each once: one that finds the gate taken is run by the owner, or
/// posted by it.
struct functions_pass : model::threads {
  static constexpr int count = 3;

  struct function : gate::waiting {
    function()
        : waiting([](gate::waiting& w) noexcept { static_cast<function&>(w).posted.ring(); }) {}
    model::bell posted;
    model::payload ran;
  };
  gate door;
  model::payload inside;
  std::array<function, count> functions;

  void count_one() { inside.write(inside.read() + 1); }
  void run(bool others) {
    count_one();
    gate::waiting* left = others ? door.take_waiting() : nullptr;
    if (left) {
      auto& first = static_cast<function&>(*left);
      gate::waiting* const rest = left->next;
      count_one();
      first.ran.write(1);
      first.posted.ring();
      gate::post_all(rest);
    }
    door.leave([] { return true; });
  }
  void thread(unsigned n) override {
    if (door.try_enter() || door.enter_or_push(functions[n])) return run(n < 2);
    functions[n].posted.wait();
    if (functions[n].ran.read() == 1) return;
    door.enter();
    run(false);
  }
  void after() override {
    MUST(inside.read() == count);
    MUST(door.is_free());
  }
};

struct listener : scope_listener {
  listener()
      : scope_listener([](scope_listener& l, asio::cancellation_type_t) {
          auto& self = static_cast<listener&>(l);
          self.heard.write(self.heard.read() + 1);
        }) {}
  model::payload heard;
};

/// What is linked hears a cancellation once, whenever that comes, and nothing once it is unlinked.
struct heard_once : model::threads {
  static constexpr int count = 3;
  cancellation_scope scope;

  void thread(unsigned n) override {
    if (n == 2) return scope.ring(cancel_reason::deadline, asio::cancellation_type::terminal);
    listener l;
    bool cancelled = false;
    {
      const cancellation_scope::entry in(scope);
      cancelled = scope.reason() != cancel_reason::none;
      scope.link(l);
    }
    cancellation_scope::unlink(l, false);
    const unsigned heard = l.heard.read();
    MUST(heard <= 1);
    MUST(!cancelled || heard == 1);
    l.heard.write(7);  // it may go now
  }
  void after() override { MUST(scope.reason() == cancel_reason::deadline); }
};

/// A scope that is closed after its alarm has been stopped may go: no ring touches it afterwards.
struct closed_is_over : model::threads {
  static constexpr int count = 2;
  std::unique_ptr<cancellation_scope> scope = std::make_unique<cancellation_scope>();
  listener l;
  model::payload alive;
  holdfast::detail::sync::mutex wheel;
  bool stopped = false;

  void before() override {
    const cancellation_scope::entry in(*scope);
    scope->link(l);
  }
  void thread(unsigned n) override {
    if (n == 0) {
      {
        const std::lock_guard lock(wheel);
        stopped = true;
      }
      scope->close();
      MUST(l.heard.read() <= 1);
      alive.write(1);
      scope.reset();
    } else {
      bool claimed = false;
      {
        const std::lock_guard lock(wheel);
        if (!stopped) {
          claimed = scope->begin_ring(cancel_reason::deadline, asio::cancellation_type::all);
        }
      }
      if (!claimed) return;
      static_cast<void>(alive.read());
      scope->finish_ring();
    }
  }
};

}  // namespace

int main(int argc, char** argv) {
  model::explorer e(argc, argv);
  e.explore<functions_pass>("functions pass one at a time", 3'000);
  e.explore<heard_once>("a cancellation is heard once", 3'000);
  e.explore<closed_is_over>("closed is over", 3'000);
  return e.result();
}
