// SPDX-License-Identifier: BSL-1.0
// One deadline for a whole tree of calls. A call gets it through its context, and passes it on to
// the pipelines it uses itself.
#include "run.hpp"

#include <boost/asio/this_coro.hpp>
#include <memory>
#include <string>

// A tool that the agent calls, with a pipeline of its own.
asio::awaitable<std::string> search(hf::call_context& ctx) {
  fmt::print("    search, attempt {}, {} left\n", ctx.attempt(), show(ctx.remaining()));
  co_await hf::sleep_for(2s, ctx.token());
  co_return "three pages";
}

asio::awaitable<std::string> agent(hf::call_context& ctx) {
  static const auto tools = hf::pipeline().with(hf::timeout{10s});

  std::string found;
  for (int step = 1; step <= 5; ++step) {
    fmt::print("  step {} for {}, {} left\n", step, ctx.tag("tenant"), show(ctx.remaining()));
    // As the child of this call: never longer than it, and cancelled with it.
    hf::result<std::string> pages = co_await tools(search, ctx);
    if (!pages) break;
    found += pages.value() + "; ";
  }
  co_return found;
}

asio::awaitable<void> scenario() {
  auto guard = hf::pipeline().with(hf::timeout{30s});
  const hf::tag_set tags{{"tenant", "acme"}};

  // The caller's own deadline, as a gateway gets it from its client.
  auto& time = hf::time_service::of(co_await asio::this_coro::executor);
  hf::result<std::string> answer =
      co_await guard(agent, {.deadline = time.precise_now() + 5s, .tags = &tags});
  fmt::print("what was found in time: {}\n", answer.value());
  expect(answer.value() == "three pages; three pages; ");

  // A deadline that has passed: the call is not made.
  answer = co_await guard(agent, {.deadline = time.precise_now()});
  expect(answer.error().code() == hf::errc::deadline_too_near);
  fmt::print("too late: {}\n", answer.error().message());
}

int main() { return run(scenario); }
