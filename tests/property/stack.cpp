// SPDX-License-Identifier: BSL-1.0
// Stacks of policies with random options around a service that does anything, in virtual time:
// what is promised of every stack.
#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <catch2/catch_all.hpp>
#include <deque>
#include <holdfast/resilient.hpp>
#include <holdfast/testing/call_watch.hpp>
#include <holdfast/testing/virtual_time.hpp>
#include <optional>
#include <stdexcept>
#include <vector>

#include "../support/property.hpp"

namespace {

namespace asio = boost::asio;
namespace hf = holdfast;
using namespace std::chrono_literals;
using test::maybe;
using test::number;

constexpr hf::duration tick = hf::timer_wheel::tick;
constexpr hf::duration for_ever = 24h;

hf::duration ms(unsigned low, unsigned high) { return hf::duration(1ms) * number(low, high); }

/// What a call does: a value, one that says to wait, an error code, or an exception; after a time,
/// in which it may be deaf to cancellation.
struct act {
  enum { answers, says_wait, fails, throws } how = answers;
  hf::duration lasts{0};
  bool stubborn = false;
};

constexpr int wait_please = -1;
constexpr hf::duration silence = 7ms;

struct asks_for_silence {
  hf::classification operator()(const int& value) const {
    if (value == wait_please) return {hf::verdict::throttled, silence};
    return hf::verdict::success;
  }
};

struct plan {
  bool detaches;
  hf::timeout each{};
  hf::timeout all{};
  hf::retry again{};
  hf::bulkhead_options places{};
  hf::rate_limiter_options rate{};
  hf::circuit_breaker_options circuit{};
  hf::hedge_options beside{};
  hf::retry_budget_options budget{};

  explicit plan(bool may_detach) : detaches(may_detach && maybe(0.3)) {
    const auto mode = detaches ? hf::timeout_mode::detach : hf::timeout_mode::cooperative;
    all = {.after = maybe(0.7) ? ms(1, 80) : for_ever, .mode = mode, .max_detached = 1000};
    each = all;
    if (maybe(0.6)) each.after = std::min(all.after, ms(1, 30));
    again.max_attempts = number(1, 4);
    again.wait = {.base = ms(0, 10), .cap = 20ms, .jitter = hf::jitter::full};
    again.wait_for_circuit = maybe(0.3) ? ms(1, 50) : 0ns;
    places.limit = number(1, 4);
    places.queue = number(0, 4);
    places.order = *rc::gen::element(hf::queue_order::fifo, hf::queue_order::lifo,
                                     hf::queue_order::priority, hf::queue_order::codel);
    places.max_queue_time = maybe(0.5) ? ms(1, 20) : 0ns;
    rate = {.permits = number(1, 20),
            .period = 10ms,
            .burst = number(1, 10),
            .max_wait = ms(0, 20),
            .max_waiting = number(0, 5),
            .max_hint = 20ms};
    circuit = {.consecutive_failures = maybe(0.6) ? number(1, 4) : 1'000'000,
               .open_for = ms(1, 40),
               .half_open_probes = number(1, 2)};
    beside = {.delay = ms(0, 15), .max_hedges = number(1, 2)};
    budget = {.ratio = number(0, 4) / 4.0, .min_per_second = number(0, 1) * 0.2};
  }
};

void showValue(const plan& p, std::ostream& os) {
  const auto in_ms = [](hf::duration d) { return d / 1ms; };
  os << "timeouts " << in_ms(p.each.after) << " and " << in_ms(p.all.after) << " ms"
     << (p.detaches ? ", detach; " : "; ") << p.again.max_attempts << " attempts, base "
     << in_ms(p.again.wait.base) << ", waits for circuit " << in_ms(p.again.wait_for_circuit)
     << "; bulkhead " << p.places.limit << '+' << p.places.queue << ' '
     << to_string(p.places.order) << " for " << in_ms(p.places.max_queue_time) << "; "
     << p.rate.permits << " per 10 ms, burst " << p.rate.burst << ", " << p.rate.max_waiting
     << " wait for " << in_ms(p.rate.max_wait) << "; opens after "
     << p.circuit.consecutive_failures << " for " << in_ms(p.circuit.open_for) << ", "
     << p.circuit.half_open_probes << " probes; " << p.beside.max_hedges << " hedges after "
     << in_ms(p.beside.delay) << "; budget " << p.budget.ratio << " and "
     << p.budget.min_per_second;
}

struct client {
  hf::duration starts;
  std::optional<hf::duration> deadline;  // from the start
  std::optional<hf::duration> cancels;
  hf::priority rank;
  bool idempotent;
  std::vector<act> acts;

  explicit client(const plan& p)
      : starts(ms(0, 60)),
        deadline(maybe(0.4) ? std::optional(ms(0, 60)) : std::nullopt),
        cancels(maybe(0.2) ? std::optional(ms(0, 40)) : std::nullopt),
        rank(static_cast<hf::priority>(number(0, 4))),
        idempotent(maybe(0.8)) {
    for (unsigned i = number(1, 4); i > 0; --i) {
      acts.push_back({.how = *rc::gen::weightedElement<decltype(act::how)>({{3, act::answers},
                                                                            {1, act::says_wait},
                                                                            {3, act::fails},
                                                                            {1, act::throws}}),
                      .lasts = maybe(0.2) ? ms(50, 200) : ms(0, 20),
                      .stubborn = p.detaches && maybe(0.3)});
    }
  }
};

void showValue(const client& c, std::ostream& os) {
  os << "at " << c.starts / 1ms << " ms";
  if (c.deadline) os << ", deadline after " << *c.deadline / 1ms;
  if (c.cancels) os << ", cancels after " << *c.cancels / 1ms;
  os << (c.idempotent ? ":" : ", not idempotent:");
  constexpr const char* hows[] = {"answers", "says wait", "fails", "throws"};
  for (const act& a : c.acts) {
    os << ' ' << hows[a.how] << " after " << a.lasts / 1ms << (a.stubborn ? " deaf" : "") << ',';
  }
}

/// One operation under way, and what became of it.
struct operation {
  explicit operation(client c) : who(std::move(c)) {}
  client who;
  std::size_t next_act = 0;
  hf::testing::call_watch watch;
  asio::cancellation_signal cancel;
  hf::time_point began{};
  std::optional<hf::time_point> ended;
  std::optional<hf::time_point> cancelled;
  bool answered = false;
};

struct world {
  explicit world(const plan& options) : p(options) {}
  plan p;
  asio::io_context context{1};
  hf::testing::virtual_time time{context};
  hf::bulkhead places{p.places};
  hf::rate_limiter rate{p.rate};
  hf::circuit_breaker circuit{p.circuit};
  hf::retry_budget budget{p.budget};
  hf::hedge beside{p.beside};
  hf::testing::call_watch watch;
  std::vector<hf::time_point> attempts;
  std::vector<hf::time_point> asked_for_silence;
  std::deque<operation> operations;
};

template <class Pipeline>
asio::awaitable<void> run(world& w, operation& o, const Pipeline& pipe) {
  const auto call = [&w, &o](hf::call_context& c) -> asio::awaitable<int> {
    w.attempts.push_back(w.time.now());
    const act a = o.who.acts[o.next_act++ % o.who.acts.size()];
    if (a.stubborn) {
      co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
      co_await hf::sleep_for(a.lasts);
    } else {
      co_await hf::sleep_for(a.lasts, c.token());
    }
    switch (a.how) {
      case act::answers: co_return 7;
      case act::says_wait: w.asked_for_silence.push_back(w.time.now()); co_return wait_please;
      case act::fails: throw boost::system::system_error(asio::error::connection_reset);
      case act::throws: throw std::runtime_error("no");
    }
    co_return 0;
  };
  const auto watched = w.watch.around(o.watch.around(call));
  o.began = w.time.now();
  hf::result<int> r = co_await pipe(
      watched, {.deadline = o.who.deadline ? o.began + *o.who.deadline : hf::never,
                .idempotent = o.who.idempotent,
                .priority = o.who.rank});
  o.ended = w.time.now();
  o.answered = r.has_value() && r.assume_value() == 7;
}

template <class Pipeline>
asio::awaitable<void> client_of(world& w, operation& o, const Pipeline& pipe) {
  co_await hf::sleep_for(o.who.starts);
  asio::co_spawn(w.context, run(w, o, pipe),
                 asio::bind_cancellation_slot(o.cancel.slot(), asio::detached));
  if (!o.who.cancels) co_return;
  co_await hf::sleep_for(*o.who.cancels);
  if (o.ended) co_return;
  o.cancelled = w.time.now();
  o.cancel.emit(asio::cancellation_type::terminal);
}

void check_end(const world& w, const operation& o, unsigned most_attempts) {
  RC_ASSERT(o.ended.has_value());
  hf::time_point latest = o.began + w.p.all.after;
  // A deaf call is left behind by the timeout alone.
  if (!w.p.detaches) {
    if (o.who.deadline) latest = std::min(latest, o.began + *o.who.deadline);
    if (o.cancelled) latest = std::min(latest, *o.cancelled);
  }
  RC_ASSERT(*o.ended <= latest + tick);
  const hf::testing::watched_calls seen = o.watch.seen();
  RC_ASSERT(seen.started <= most_attempts);
  RC_ASSERT(seen.running == 0u);
  RC_ASSERT(seen.after_deadline == 0u);
}

/// All is at rest, and works.
template <class Pipeline>
void check_rest(world& w, const Pipeline& pipe) {
  RC_ASSERT(w.watch.seen().running == 0u);
  RC_ASSERT(w.places.in_use() == 0u);
  RC_ASSERT(w.places.waiting() == 0u);
  RC_ASSERT(w.time.timers() == 0u);
  RC_ASSERT(w.rate.snapshot(w.time.now()).waiting == 0u);
  RC_ASSERT(w.circuit.snapshot(w.time.now()).probes_in_flight == 0u);
  w.time.run_for(1h);
  client healthy = w.operations.front().who;
  healthy.acts = {act{}};
  healthy.deadline.reset();
  operation& last = w.operations.emplace_back(healthy);
  asio::co_spawn(w.context, run(w, last, pipe), asio::detached);
  w.time.run();
  RC_ASSERT(last.answered);
}

/// In no stretch of time more attempts than the limiter says. What is given back while others wait
/// is on top of what is due to them.
void check_rate(const world& w) {
  const auto& o = w.p.rate;
  for (std::size_t i = 0; i < w.attempts.size(); ++i) {
    for (std::size_t j = i; j < w.attempts.size(); ++j) {
      const hf::duration t = w.attempts[j] - w.attempts[i] + 1ns;
      const auto most = 2 * std::int64_t{o.burst} + t.count() * o.permits / o.period.count();
      RC_ASSERT(static_cast<std::int64_t>(j - i + 1) <= most);
    }
  }
}

/// Who was asked for silence kept it.
void check_silence(const world& w) {
  for (const hf::time_point asked : w.asked_for_silence) {
    for (const hf::time_point attempt : w.attempts) {
      RC_ASSERT((attempt <= asked || attempt >= asked + silence));
    }
  }
}

template <class Pipeline>
void play(world& w, const Pipeline& pipe, unsigned most_attempts) {
  const auto some = rc::gen::exec([&w] { return client(w.p); });
  for (const client& c : *rc::gen::nonEmpty(rc::gen::container<std::vector<client>>(some))) {
    w.operations.emplace_back(c);
  }
  for (operation& o : w.operations) {
    asio::co_spawn(w.context, client_of(w, o, pipe), asio::detached);
  }
  w.time.run();
  std::uint64_t tried = 0;
  for (const operation& o : w.operations) {
    check_end(w, o, most_attempts);
    tried += o.watch.seen().started > 0;
  }
  const hf::retry_budget_snapshot b = w.budget.snapshot(w.time.now());
  RC_ASSERT(w.watch.seen().started <= tried + b.granted - b.released);
  check_rest(w, pipe);
}

}  // namespace

TEST_CASE("attempts under a limiter, a breaker and a bulkhead, retried until a deadline",
          "[stack][property]") {
  const bool held = test::holds("inner", {.count = 3000, .size = 16}, [] {
    world w(*rc::gen::exec([] { return plan(true); }));
    hf::retry again = w.p.again;
    again.budget = w.budget;
    const auto pipe = hf::pipeline()
                          .classify(asks_for_silence())
                          .with(w.p.each)
                          .with(w.rate)
                          .with(w.circuit)
                          .with(w.places)
                          .with(again)
                          .with(w.p.all)
                          .fallback(-2);
    play(w, pipe, again.max_attempts);
    check_rate(w);
    if (w.p.detaches) return;  // what is left behind is not heard
    RC_ASSERT(w.watch.seen().most_running <= w.p.places.limit);
    check_silence(w);
  });
  CHECK(held);
}

TEST_CASE("hedged attempts, retried, under a bulkhead and a limiter for the whole",
          "[stack][property]") {
  const bool held = test::holds("outer", {.count = 3000, .size = 16}, [] {
    world w(*rc::gen::exec([] { return plan(false); }));
    hf::retry again = w.p.again;
    again.budget = w.budget;
    hf::hedge_options o = w.p.beside;
    o.budget = w.budget;
    const hf::hedge beside(o);
    const auto pipe = hf::pipeline()
                          .classify(asks_for_silence())
                          .with(w.p.each)
                          .with(w.circuit)
                          .with(beside)
                          .with(again)
                          .with(w.places)
                          .with(w.rate)
                          .with(w.p.all);
    play(w, pipe, again.max_attempts * (1 + o.max_hedges));
    RC_ASSERT(w.watch.seen().most_running <= w.p.places.limit * (1 + o.max_hedges));
  });
  CHECK(held);
}
