// SPDX-License-Identifier: BSL-1.0
// What a lack of memory leaves behind besides permits: in the scope of a parent, and in a ledger.
#include "sweep.hpp"

namespace {

using namespace sweep;
using support::no_memory;

/// Runs `scene`, a function of the number of allocations that still succeed, until nothing fails in
/// it any more. It returns whether anything did.
template <class Scene>
void sweep_memory(no_memory::lasting lasting, Scene scene) {
  std::uint64_t after = 0;
  while (scene(after, lasting)) ++after;
  CHECK(after > 0);
}
template <class Scene>
void sweep_memory(Scene scene) {
  for (const auto lasting : {no_memory::lasting::once, no_memory::lasting::from_then_on}) {
    sweep_memory(lasting, scene);
  }
}

asio::awaitable<int> ready() { co_return 7; }

}  // namespace

TEST_CASE("without memory: a nested operation leaves nothing in its parent's slot") {
  sweep_memory([](std::uint64_t after, no_memory::lasting lasting) {
    INFO("after " << after);
    asio::io_context context{1};
    hf::testing::virtual_time time{context};
    hf::bulkhead bulkhead{{.name = "bulkhead", .limit = 1, .queue = 1}};
    const auto held = bulkhead.core()->try_acquire();
    bool failed = false;
    const auto outer = [&](hf::call_context& ctx) -> asio::awaitable<int> {
      {
        no_memory memory(after, lasting);
        try {
          // Waits for a permit, and for longer than its deadline lets it.
          const auto r = co_await hf::pipeline().with(bulkhead).with(hf::timeout{5ms})(
              ready, {.parent = &ctx});
          memory.stop();
          CHECK(r.has_error());
        } catch (const std::bad_alloc&) {
          memory.stop();
        }
        failed = memory.has_failed();
      }
      CHECK_FALSE(ctx.slot().has_handler());
      // The timeout around this emits through the slot.
      co_await hf::sleep_for(1h, ctx.token());
      co_return 7;
    };
    std::optional<hf::result<int>> outcome;
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
          outcome.emplace(co_await hf::pipeline().with(hf::timeout{20ms})(outer));
        },
        asio::detached);
    time.run();
    REQUIRE(outcome);
    CHECK(outcome->error().code() == hf::errc::attempt_timeout);
    CHECK(bulkhead.waiting() == 0);
    if (held) bulkhead.core()->release();
    return failed;
  });
}

TEST_CASE("without memory: what a ledger could not keep it counts") {
  // So long a name is allocated, and no vector grows without memory either.
  const std::string long_name(100, 'x');
  sweep_memory([&](std::uint64_t after, no_memory::lasting lasting) {
    INFO("after " << after);
    asio::io_context context{1};
    hf::testing::virtual_time time{context};
    hf::ledger ledger;
    bool failed = false;
    std::optional<hf::result<int>> outcome;
    const auto guard = hf::pipeline()
                           .with(hf::retry{.max_attempts = 3, .wait = {.base = 0s}})
                           .fallback(5, {.name = long_name});
    std::size_t calls = 0;
    const auto fails = [&calls]() -> asio::awaitable<hf::result<int>> {
      return [](std::size_t& made) -> asio::awaitable<hf::result<int>> {
        ++made;
        co_return hf::failure(failed_code());
      }(calls);
    };
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
          no_memory memory(after, lasting);
          try {
            outcome.emplace(co_await guard(fails, {.ledger = &ledger}));
          } catch (const std::bad_alloc&) {
          }
          memory.stop();
          failed = memory.has_failed();
        },
        asio::detached);
    time.run();
    if (outcome && outcome->has_value()) {  // the attempts and the link, kept or counted
      CHECK(ledger.entries().size() + ledger.unrecorded() >= calls + 1);
      CHECK(ledger.entries().size() <= 4);
      CHECK((ledger.unrecorded() > 0 || ledger.answered_by() == long_name));
    }
    return failed;
  });
}

TEST_CASE("without memory: the caller's throw_if_cancelled stays as it was") {
  // The caller has left its executor: the operation begins by going home, for which it sets the flag.
  sweep_memory(no_memory::lasting::once, [](std::uint64_t after, no_memory::lasting lasting) {
    INFO("after " << after);
    asio::io_context home{1};
    asio::io_context abroad{1};
    const auto guard = hf::pipeline().with(hf::timeout{1h});
    bool failed = false;
    bool ended = false;
    asio::co_spawn(
        home,
        [&]() -> asio::awaitable<void> {
          co_await asio::post(abroad, asio::bind_executor(abroad, asio::deferred));
          {
            no_memory memory(after, lasting);
            try {
              static_cast<void>(co_await guard(ready));
            } catch (const std::bad_alloc&) {
            }
            memory.stop();
            failed = memory.has_failed();
          }
          const bool throws = co_await asio::this_coro::throw_if_cancelled();
          CHECK(throws);
          ended = true;
        },
        asio::detached);
    while (home.poll() + abroad.poll() > 0) {
      home.restart();
      abroad.restart();
    }
    CHECK(ended);
    return failed;
  });
}

TEST_CASE("without memory: whose attempt did not start cancels nobody else's") {
  // Several threads may run this context, as far as the library knows: attempts are handed over to
  // chains that operations share. The strands of these do not live without any memory.
  sweep_memory(no_memory::lasting::once, [](std::uint64_t after, no_memory::lasting lasting) {
    INFO("after " << after);
    asio::io_context context;
    const auto guard = hf::pipeline().with(hf::timeout{1h});
    std::optional<no_memory> memory;
    asio::cancellation_signal cancel;
    std::optional<hf::result<int>> next;
    const auto cancels_the_first = [&]() -> asio::awaitable<int> {
      cancel.emit(asio::cancellation_type::terminal);
      for (int i = 0; i < 4; ++i) co_await asio::post(asio::deferred);
      co_return 7;
    };
    asio::co_spawn(  // leaves a chain behind
        context,
        [&]() -> asio::awaitable<void> {
          const auto first = co_await guard(ready);
          CHECK(first.has_value());
        },
        asio::detached);
    context.run();
    context.restart();
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
          memory.emplace(after, lasting);
          try {
            const auto r = co_await guard(ready);
            CHECK((r.has_value() || memory->has_failed()));
          } catch (const std::bad_alloc&) {
          }
        },
        asio::bind_cancellation_slot(cancel.slot(), asio::detached));
    asio::post(context, [&] { memory->stop(); });
    asio::co_spawn(
        context,
        [&]() -> asio::awaitable<void> {
          next.emplace(co_await guard(cancels_the_first));
        },
        asio::detached);
    context.run();
    REQUIRE(next);
    CHECK(next->has_value());
    return memory->has_failed();
  });
}
