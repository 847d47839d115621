// SPDX-License-Identifier: BSL-1.0
#include "load.hpp"

#include "histogram.hpp"
#include "http_client.hpp"
#include "load_stats.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <optional>
#include <random>

namespace demo {
namespace {

using clock = std::chrono::steady_clock;

/// Counters and latencies of one kind of request, for a second and for the whole run.
struct tally {
  request_stats second;
  request_stats total;
  histogram second_latency;
  histogram total_latency;

  void sent() {
    ++second.sent;
    ++total.sent;
  }
  void ended(clock::duration latency, bool answered) {
    if (!answered) {
      // However quick a refusal was: to its user it is an answer that never came.
      latency = patience;
    }
    second.lost += !answered;
    total.lost += !answered;
    second_latency.add(latency);
    total_latency.add(latency);
  }
  request_stats take_second() {
    second.p50_ms = second_latency.quantile_ms(0.50);
    second.p99_ms = second_latency.quantile_ms(0.99);
    second_latency = {};
    return std::exchange(second, {});
  }
  request_stats take_total() {
    total.p50_ms = total_latency.quantile_ms(0.50);
    total.p99_ms = total_latency.quantile_ms(0.99);
    return total;
  }
};

class load {
 public:
  explicit load(const load_options& options)
      : options_(options),
        client_(ctx_.get_executor(), loopback(options.port)),
        random_(options.seed) {}

  void run() {
    start(send_all());
    start(report_all());
    ctx_.run();
    load_stats all;
    all.second = options_.seconds;
    all.total = true;
    all.ask = ask_.take_total();
    all.history = history_.take_total();
    all.answers = answers_;
    write(all);
  }

 private:
  /// What nobody expected ends the run: it leaves run() as an exception.
  void start(asio::awaitable<void> work) {
    asio::co_spawn(ctx_, std::move(work), [](std::exception_ptr error) {
      if (error) {
        std::rethrow_exception(error);
      }
    });
  }

  asio::awaitable<void> send_all() {
    const double rate = options_.asks_per_second + options_.histories_per_second;
    std::exponential_distribution<> gap(rate);
    std::bernoulli_distribution is_ask(options_.asks_per_second / rate);
    asio::steady_timer timer(ctx_);
    clock::time_point due = start_;
    while (due < end_) {
      timer.expires_at(due);
      co_await timer.async_wait(asio::deferred);
      start(is_ask(random_) ? ask(due) : read_history(due));
      due +=
          std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(gap(random_)));
    }
  }

  asio::awaitable<void> ask(clock::time_point due) {
    ask_.sent();
    // Users tend to ask the same things; that is what a cache lives on.
    json::value body{{"user", any_user()}, {"question", fmt::format("question {}", pick(100))}};
    const std::optional<response> res = co_await send(make_post("/ask", body), due);
    if (res) {
      const json::object answer = json_body(res->body());
      const std::string from =
          fmt::format("{} ({})", text_member(answer, "source"), text_member(answer, "quality"));
      ++second_answers_[from];
      ++answers_[from];
    }
    ask_.ended(clock::now() - due, res.has_value());
  }

  asio::awaitable<void> read_history(clock::time_point due) {
    history_.sent();
    const std::optional<response> res = co_await send(make_get("/history?user=" + any_user()), due);
    history_.ended(clock::now() - due, res.has_value());
  }

  /// The response, unless it is a refusal or does not come in time.
  asio::awaitable<std::optional<response>> send(request req, clock::time_point due) {
    ++in_flight_;
    std::optional<response> answered;
    try {
      response res = co_await client_.send_within(due + patience - clock::now(), std::move(req));
      if (res.result() == http::status::ok) {
        answered = std::move(res);
      }
    } catch (const boost::system::system_error&) {
      // Out of patience, or the connection broke: lost to this user either way.
    }
    --in_flight_;
    co_return answered;
  }

  /// Also after the last request was sent, until the last one has ended.
  asio::awaitable<void> report_all() {
    asio::steady_timer timer(ctx_);
    for (int second = 1; clock::now() < end_ || in_flight_ != 0; ++second) {
      timer.expires_at(start_ + std::chrono::seconds(second));
      co_await timer.async_wait(asio::deferred);
      load_stats now;
      now.second = second;
      now.ask = ask_.take_second();
      now.history = history_.take_second();
      now.answers = std::exchange(second_answers_, {});
      now.in_flight = in_flight_;
      write(now);
    }
  }

  static void write(const load_stats& stats) {
    const std::string line = to_line(stats);
    std::fwrite(line.data(), 1, line.size(), stdout);
    std::fflush(stdout);
  }

  std::string any_user() { return fmt::format("user{}", pick(200)); }
  int pick(int n) { return std::uniform_int_distribution<>(1, n)(random_); }

  load_options options_;
  asio::io_context ctx_{1};
  http_client client_;
  std::mt19937_64 random_;
  clock::time_point start_ = clock::now();
  clock::time_point end_ = start_ + std::chrono::seconds(options_.seconds);

  tally ask_;
  tally history_;
  std::map<std::string, std::uint64_t> second_answers_;
  std::map<std::string, std::uint64_t> answers_;
  std::uint64_t in_flight_ = 0;
};

}  // namespace

int run_load(const load_options& options) {
  load users(options);
  users.run();
  return 0;
}

}  // namespace demo
