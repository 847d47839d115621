// SPDX-License-Identifier: BSL-1.0
#include "scenario.hpp"

#include "child_process.hpp"
#include "http_client.hpp"
#include "load_stats.hpp"
#include "provider.hpp"
#include "report.hpp"
#include "stand.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string_view>
#include <thread>

namespace demo {
namespace {

using namespace std::chrono_literals;

/// What happens to the providers, and when: as a share of the time in which load is sent.
struct phase {
  double at;
  std::string_view words;
  faults gpt4;
  faults gpt35;
};

constexpr phase phases[] = {
    {0.00, "both providers are well", {}, {}},
    {0.20, "gpt-4 hangs for 60 s on half of its requests", {.hang = 0.5}, {}},
    {0.45, "gpt-3.5 fails too, with 503", {.hang = 0.5}, {.fail = 1}},
    {0.65, "both providers recover", {}, {}},
};

asio::awaitable<void> set_faults(std::uint16_t provider_port, faults wanted) {
  http_client provider(co_await asio::this_coro::executor, loopback(provider_port));
  json::value body{{"hang", wanted.hang}, {"fail", wanted.fail}};
  co_await provider.send_within(2s, make_post("/faults", body));
}

/// Nothing if the service does not say it in time; the next line may know it again.
template <class Parse>
auto ask_status(http_client& service, Parse parse)
    -> asio::awaitable<decltype(std::optional(parse("")))> {
  try {
    const response res = co_await service.send_within(300ms, make_get("/status"));
    co_return parse(res.body());
  } catch (const std::exception&) {
    co_return std::nullopt;
  }
}

/// A line for each second, until the totals.
asio::awaitable<load_stats> next_stats(child_process& load) {
  const std::optional<std::string> line = co_await load.read_line();
  if (!line) {
    throw std::runtime_error("the load generator ended before its time");
  }
  co_return parse_load_stats(*line);
}

/// Both sides in step: each second ends with a line from either load generator, and phases begin
/// between seconds. True when all went as promised.
asio::awaitable<bool> play(const stand& with, const stand& without, child_process& with_load,
                           child_process& without_load, std::chrono::seconds send_time) {
  const auto executor = co_await asio::this_coro::executor;
  http_client with_service(executor, loopback(with.service_port()));
  http_client without_service(executor, loopback(without.service_port()));
  report out;
  load_stats with_stats;
  load_stats without_stats;
  const phase* next = std::begin(phases);
  for (int second = 0; !with_stats.total; ++second) {
    if (next != std::end(phases) && second >= next->at * static_cast<double>(send_time.count())) {
      out.phase(second, next->words);
      for (const stand* side : {&with, &without}) {
        co_await set_faults(side->gpt4_port(), next->gpt4);
        co_await set_faults(side->gpt35_port(), next->gpt35);
      }
      ++next;
    }
    with_stats = co_await next_stats(with_load);
    if (!without_stats.total) {
      without_stats = co_await next_stats(without_load);
    }
    if (!with_stats.total && second < send_time.count()) {
      const auto with_status = co_await ask_status(with_service, parse_protected_status);
      const auto without_status = co_await ask_status(without_service, parse_unprotected_status);
      out.second(with_stats, with_status, without_stats.total ? load_stats{} : without_stats,
                 without_status);
    }
  }
  if (!without_stats.total) {
    out.phase(with_stats.second, "no more load; users of the unprotected service still wait");
  }
  while (!without_stats.total) {
    without_stats = co_await next_stats(without_load);
  }
  const auto last_status = co_await ask_status(with_service, parse_protected_status);
  co_return out.summary(with_stats, last_status, without_stats);
}

load_options load_for(const stand& side, const options& chosen, std::chrono::seconds send_time) {
  load_options load{.port = side.service_port(),
                    .seconds = static_cast<int>(send_time.count()),
                    .seed = chosen.seed};
  if (std::thread::hardware_concurrency() < 2) {
    // Both services, four providers and two generators on one processor: what is shown should
    // be the faults, not the queue for the processor.
    load.asks_per_second /= 2;
    load.histories_per_second /= 2;
  }
  return load;
}

/// Runs the context until its work calls stop() or a signal asks for the end; returns the signal,
/// or 0.
int run_until_signal(asio::io_context& ctx) {
  int caught = 0;
  asio::signal_set signals(ctx, SIGINT, SIGTERM, SIGHUP);
  signals.async_wait([&](error_code ec, int signal) {
    if (!ec) {
      caught = signal;
      ctx.stop();
    }
  });
  ctx.run();
  return caught;
}

/// What a shell says of a process that a signal has ended.
int exit_code(int signal) { return 128 + signal; }

}  // namespace

int run_scenario(const options& chosen) {
  asio::io_context ctx{1};
  std::exception_ptr error;
  bool as_promised = false;
  int signal = 0;
  {
    const auto send_time = std::chrono::seconds(chosen.seconds) - patience;
    const stand with(protection::with_holdfast, chosen.port, chosen.seed);
    const stand without(protection::none, 0, chosen.seed);
    const load_options load = load_for(with, chosen, send_time);
    fmt::print(
        "Protected service on port {} (providers {}, {}), unprotected on port {} (providers {}, "
        "{}).\nEach gets {:.0f} /ask and {:.0f} /history a second from a process of its own.\n\n",
        with.service_port(), with.gpt4_port(), with.gpt35_port(), without.service_port(),
        without.gpt4_port(), without.gpt35_port(), load.asks_per_second, load.histories_per_second);
    child_process with_load(ctx.get_executor(), load_arguments(load));
    child_process without_load(ctx.get_executor(),
                               load_arguments(load_for(without, chosen, send_time)));
    asio::co_spawn(ctx, play(with, without, with_load, without_load, send_time),
                   [&](std::exception_ptr e, bool held) {
                     error = e;
                     as_promised = held;
                     ctx.stop();
                   });
    signal = run_until_signal(ctx);
  }
  if (signal != 0) {
    fmt::print("\nInterrupted. The services, their providers and the load have been stopped.\n");
    return exit_code(signal);
  }
  if (error) {
    std::rethrow_exception(error);
  }
  return as_promised ? 0 : 1;
}

int serve(const options& chosen) {
  asio::io_context ctx{1};
  int signal = 0;
  {
    const stand side(protection::with_holdfast, chosen.port, chosen.seed);
    fmt::print(R"(The chat service is up, with two stand-in providers. Try, in another terminal:

  curl -d '{{"user": "me", "question": "Does it hold?"}}' http://127.0.0.1:{0}/ask
  curl 'http://127.0.0.1:{0}/history?user=me'
  curl http://127.0.0.1:{0}/status

Break the providers, ask again, and watch the breakers:

  curl -d '{{"hang": 1}}' http://127.0.0.1:{1}/faults      # gpt-4 hangs
  curl -d '{{"fail": 1}}' http://127.0.0.1:{2}/faults      # gpt-3.5 answers 503
  for i in $(seq 60); do curl -d '{{"user": "me", "question": "Does it hold?"}}' http://127.0.0.1:{0}/ask & done; wait
  curl http://127.0.0.1:{0}/status
  curl -d '{{}}' http://127.0.0.1:{1}/faults               # gpt-4 is well again

Ctrl-C ends it.
)",
               side.service_port(), side.gpt4_port(), side.gpt35_port());
    std::fflush(stdout);
    signal = run_until_signal(ctx);
  }
  fmt::print("\nStopped: the service and its providers.\n");
  // A server that was told to stop has done its job.
  return signal == SIGHUP ? exit_code(signal) : 0;
}

}  // namespace demo
