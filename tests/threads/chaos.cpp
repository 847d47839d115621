// SPDX-License-Identifier: BSL-1.0
// Real threads and real, short sleeps: sessions on several threads share one chaos, which is
// switched on and off and given other rules all the while.
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/thread_pool.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/resilient.hpp>
#include <thread>

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;

hf::chaos_options rules(std::uint64_t seed) {
  return {
      .name = "shared",
      .seed = seed,
      .rules = {{.rate = 0.2, .fault = hf::failure(asio::error::make_error_code(asio::error::eof))},
                {.rate = 0.2,
                 .delay = {.kind = hf::chaos_delay_kind::uniform, .base = 10us, .cap = 300us}},
                {.rate = 0.1, .hang = true}}};
}

}  // namespace

TEST_CASE("threads: one chaos, many sessions, switched and reconfigured all the while",
          "[threads]") {
  hf::chaos chaos(rules(1));
  hf::bulkhead bulkhead({.limit = 1000});
  std::atomic<int> values{0};
  std::atomic<int> faults{0};
  std::atomic<int> timeouts{0};
  std::atomic<int> others{0};
  int told = 0;  // the listener is called by one thread at a time
  const auto subscription = chaos.on_strike([&](const hf::chaos_strike&) { ++told; });
  {
    asio::thread_pool pool(4);
    const auto pipe = hf::pipeline().with(chaos).with(hf::timeout{500us}).with(bulkhead);
    const auto session = [&]() -> asio::awaitable<void> {
      const auto call = [](hf::call_context& ctx) -> asio::awaitable<int> {
        co_await hf::sleep_for(20us, ctx.token());
        co_return 1;
      };
      for (int i = 0; i < 150; ++i) {
        hf::result<int> r = co_await pipe(call);
        if (r.has_value()) {
          ++values;
        } else if (r.error().code() == asio::error::eof) {
          ++faults;
        } else if (r.error().code() == hf::condition::timed_out ||
                   r.error().code() == hf::errc::deadline_too_near) {  // on a busy machine
          ++timeouts;
        } else {
          ++others;
        }
      }
    };
    for (int i = 0; i < 40; ++i) {
      asio::co_spawn(pool, session, [](std::exception_ptr e) {
        if (e) std::rethrow_exception(e);
      });
    }
    for (std::uint64_t i = 0; i < 200; ++i) {
      if (i % 8 == 7) {
        chaos.disable();
      } else {
        chaos.enable();
      }
      chaos.reconfigure(rules(i));
      static_cast<void>(chaos.snapshot());
      CHECK_FALSE(pipe.describe().empty());
      std::this_thread::sleep_for(200us);
    }
    chaos.enable();
    pool.join();
  }
  CHECK(values + faults + timeouts + others == 40 * 150);
  CHECK(others == 0);
  CHECK(told >= faults);
  CHECK(values > 0);
  CHECK(faults > 0);
  CHECK(timeouts > 0);
  CHECK(bulkhead.in_use() == 0);
}
