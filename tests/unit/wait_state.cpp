// SPDX-License-Identifier: BSL-1.0
// One wait by hand: what it needs, and what it leaves behind.
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/detail/wait_state.hpp>
#include <holdfast/testing/virtual_time.hpp>
#include <new>
#include <optional>

#include "../support/allocations.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::detail::resumption;
using hf::detail::wait_end;
using hf::detail::wait_state;

/// What an awaiting coroutine is to a wait.
struct sleeper {
  using executor_type = asio::io_context::executor_type;
  executor_type get_executor() const noexcept { return context->get_executor(); }
  void operator()() const { ++*resumed; }

  asio::io_context* context;
  int* resumed;
};

struct world {
  asio::io_context context{1};
  hf::testing::virtual_time time{context};
  hf::time_service& service = hf::time_service::of(context.get_executor());
  asio::cancellation_signal caller;
  int resumed = 0;

  void start(wait_state& wait, hf::time_point until) {
    wait.start(until, sleeper{&context, &resumed});
  }
};

}  // namespace

TEST_CASE("a wait: whoever ends it needs no memory", "[wait_state]") {
  world w;
  wait_state first;  // which takes nothing of the second one's either
  wait_state second;
  first.prepare(w.service, w.caller.slot());
  second.prepare(w.service, {});
  w.start(first, w.service.precise_now() + 1s);
  w.start(second, w.service.precise_now() + 1s);
  const auto expected = GENERATE(wait_end::granted, wait_end::cancelled);
  const auto before = support::allocations();
  const auto grant = [](wait_state& wait) {
    resumption resumed;
    wait.grant(resumed);
    resumed.post();
  };
  if (expected == wait_end::granted) {
    grant(first);
  } else {
    w.caller.emit(asio::cancellation_type::terminal);
  }
  grant(second);
  const auto taken = support::allocations() - before;
  CHECK(taken == 0);
  CHECK(w.resumed == 0);
  w.time.run();
  CHECK(w.resumed == 2);
  CHECK(first.finish() == expected);
  CHECK(second.finish() == wait_end::granted);
}

TEST_CASE("a wait: one that finds no memory says so, at its start or at its end", "[wait_state]") {
  int ended = 0;
  for (std::uint64_t after = 0;; ++after) {
    INFO("after " << after);
    world w;
    wait_state wait;
    wait.prepare(w.service, w.caller.slot());
    bool starts = true;
    support::no_memory memory(after, support::no_memory::lasting::once);
    try {
      w.start(wait, w.service.precise_now() + 1s);
    } catch (const std::bad_alloc&) {
      starts = false;
    }
    memory.stop();
    w.time.run();
    CHECK(w.resumed == (starts ? 1 : 0));
    const auto end = wait.finish();
    if (!memory.has_failed()) break;
    if (starts) CHECK(end == wait_end::failed);
    ended += starts;
  }
  CHECK(ended > 0);
}

TEST_CASE("a wait: its end is the end of its part in the caller's cancellation", "[wait_state]") {
  world w;
  wait_state wait;
  wait.prepare(w.service, w.caller.slot());
  w.start(wait, w.service.precise_now() + 1s);
  CHECK(w.caller.slot().has_handler());
  w.time.run();
  CHECK(w.resumed == 1);
  CHECK(wait.finish() == wait_end::elapsed);
  CHECK_FALSE(w.caller.slot().has_handler());
}

TEST_CASE("a wait: one that is destroyed has no timer any more", "[wait_state]") {
  // The next wait is where it was, so that a timer that was left would end that.
  world w;
  std::optional<wait_state> wait;
  wait.emplace();
  wait->prepare(w.service, {});
  w.start(*wait, w.service.precise_now() + 1s);
  wait.reset();
  CHECK(w.time.timers() == 0);
  wait.emplace();
  wait->prepare(w.service, {});
  w.start(*wait, w.service.precise_now() + 2s);
  w.time.run_for(1500ms);
  CHECK(w.resumed == 0);
  w.time.run_for(1s);
  CHECK(w.resumed == 1);
  CHECK(wait->finish() == wait_end::elapsed);
}
