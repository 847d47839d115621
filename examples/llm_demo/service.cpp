// SPDX-License-Identifier: BSL-1.0
#include "service.hpp"

#include "http_server.hpp"
#include <holdfast/resilient.hpp>

#include <memory>

namespace demo {
namespace {

namespace hf = holdfast;
using namespace std::chrono_literals;

/// Counts the requests under way, also those whose coroutine is destroyed.
class counted {
 public:
  explicit counted(unsigned& count) : count_(++count) {}
  counted(const counted&) = delete;
  ~counted() { --count_; }

 private:
  unsigned& count_;
};

class protected_service {
 public:
  protected_service(asio::io_context& ctx, const chat_options& options)
      : gpt4_(ctx.get_executor(), loopback(options.gpt4_port)),
        gpt35_(ctx.get_executor(), loopback(options.gpt35_port)) {}

  asio::awaitable<response> handle(request req) {
    if (req.method() == http::verb::get && req.target() == "/status") {
      co_return status();
    }
    const counted under_way(in_flight_);
    if (req.method() == http::verb::post && req.target() == "/ask") {
      co_return co_await ask(parse_question(req.body()));
    }
    if (req.method() == http::verb::get && req.target().starts_with("/history")) {
      co_return make_response(http::status::ok, history_.of(user_of(req.target())));
    }
    co_return make_response(http::status::not_found, {{"error", "no such resource"}});
  }

 private:
  asio::awaitable<response> ask(question q) {
    auto ask_gpt4 = [&](hf::call_context& ctx) {
      return ask_model(gpt4_, "gpt-4", q.text, [&ctx] { return ctx.token(); });
    };
    auto ask_gpt35 = [&](hf::call_context& ctx) {
      return ask_model(gpt35_, "gpt-3.5", q.text, [&ctx] { return ctx.token(); });
    };

    // The first policy is innermost. A call that hangs costs a second, and a second attempt;
    // at most 64 do so at a time, for the bulkhead sends the others on to gpt-3.5 at once;
    // and soon the breaker keeps all of them from gpt-4 until it answers again.
    hf::ledger ledger;
    auto chain = hf::resilient(ask_gpt4, {.ledger = &ledger, .cache_key = q.text})
                     .with(hf::timeout{1s})
                     .with(hf::retry{.max_attempts = 2, .wait = {.base = 50ms}})
                     .with(gpt4_breaker_)
                     .with(gpt4_bulkhead_)
                     .fallback(hf::resilient(ask_gpt35).with(hf::timeout{1s}).with(gpt35_breaker_),
                               {.name = "gpt-3.5", .quality = hf::quality::degraded})
                     .fallback(last_answers_)
                     .fallback(apology, {.name = "apology", .quality = hf::quality::degraded});

    const hf::result<std::string> answer = co_await std::move(chain).run();
    count_refusals(ledger);
    if (!answer) {
      co_return make_response(http::status::service_unavailable,
                              {{"error", answer.error().message()}});
    }
    const std::string_view link = ledger.answered_by();
    if (link != last_answers_.name() && link != "apology") {
      history_.add(q.user, q.text, answer.value());
    }
    co_return make_response(http::status::ok, {{"answer", answer.value()},
                                               {"source", link.empty() ? "gpt-4" : link},
                                               {"quality", hf::to_string(ledger.quality())}});
  }

  void count_refusals(const hf::ledger& ledger) {
    for (const hf::ledger::entry& e : ledger.entries()) {
      refused_ += e.code == hf::condition::rejected;
    }
  }

  response status() const {
    json::array breakers;
    for (const hf::circuit_breaker* b : {&gpt4_breaker_, &gpt35_breaker_}) {
      const hf::breaker_snapshot s = b->snapshot();
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(s.remaining_open);
      breakers.push_back({{"name", b->name()},
                          {"state", hf::to_string(s.state)},
                          {"probe_in_ms", left.count()},
                          {"calls_in_window", s.calls_in_window},
                          {"bad_in_window", s.bad_in_window},
                          {"consecutive_failures", s.consecutive_failures},
                          {"refused", s.refused},
                          {"changes_of_state", s.generation}});
    }
    return make_response(http::status::ok, {{"breakers", std::move(breakers)},
                                            {"bulkhead",
                                             {{"name", gpt4_bulkhead_.name()},
                                              {"limit", gpt4_bulkhead_.limit()},
                                              {"in_use", gpt4_bulkhead_.in_use()},
                                              {"refused", gpt4_bulkhead_.refused()}}},
                                            {"refused", refused_},
                                            {"in_flight", in_flight_}});
  }

  static constexpr std::string_view apology =
      "I cannot reach any of my models right now. Please try again soon.";

  http_client gpt4_;
  http_client gpt35_;
  conversations history_;
  hf::cache<std::string> last_answers_{{.name = "cache", .max_entries = 10'000, .ttl = 24h}};

  // One call in five that fails, retries included, is no bad luck any more. Twenty good answers
  // close it: where some calls hang, the good ones report first and the hung ones seconds later,
  // so that a few good answers in a row prove nothing.
  hf::circuit_breaker gpt4_breaker_{{.name = "gpt-4",
                                     .consecutive_failures = 0,
                                     .failure_rate = 0.2,
                                     .window = 2s,
                                     .open_for = 2s,
                                     .half_open_probes = 3,
                                     .successes_to_close = 20,
                                     .probe_lease = 5s}};
  hf::bulkhead gpt4_bulkhead_{{.name = "gpt-4", .limit = 64}};
  hf::circuit_breaker gpt35_breaker_{
      {.name = "gpt-3.5", .consecutive_failures = 5, .open_for = 2s, .probe_lease = 5s}};

  unsigned in_flight_ = 0;
  std::uint64_t refused_ = 0;
};

}  // namespace

std::uint16_t start_protected_service(asio::io_context& ctx, const chat_options& options) {
  auto self = std::make_shared<protected_service>(ctx, options);
  return listen(ctx, options.port, [self](request req) { return self->handle(std::move(req)); });
}

}  // namespace demo
