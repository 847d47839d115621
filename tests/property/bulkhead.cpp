// SPDX-License-Identifier: BSL-1.0
// A bulkhead against a list of those who hold permits and a list of those who wait for some. Waits
// are opened but never suspended on: who was served is seen, and nothing is ever run.
#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/detail/bulkhead_core.hpp>
#include <map>
#include <memory>
#include <optional>
#include <tuple>
#include <vector>

#include "../support/customer.hpp"
#include "../support/property.hpp"

namespace {

namespace hf = holdfast;
using namespace std::chrono_literals;
using hf::errc;
using hf::queue_order;
using hf::detail::admission;
using hf::detail::bulkhead_core;
using reason = bulkhead_core::refusal_reason;
using hf::detail::wait_end;

constexpr hf::time_point start{1h};

struct model {
  enum class status {
    waits,    // in the queue
    given_up,  // in the queue still, but its wait has ended
    granted,
    refused,
    passed,  // out of the queue after it had given up
  };
  struct customer {
    unsigned weight;
    hf::priority rank;
    hf::time_point since;
    status is = status::waits;
    errc code = errc::bulkhead_full;
    hf::time_point wait_until{};
    bool queued() const { return is == status::waits || is == status::given_up; }
  };

  hf::bulkhead_options o;
  hf::time_point now = start;
  bool closed = false;
  bool backlogged = false;
  hf::time_point backlogged_since{};
  std::map<unsigned, customer> customers;  // that have, or had, a place in the queue
  std::vector<unsigned> queue;             // numbers of customers, in order of arrival
  std::vector<unsigned> holders;           // weights
  std::map<unsigned, bool> drains;         // and whether they have heard
  std::map<reason, std::uint64_t> refusals;
  std::vector<hf::duration> waited;
  unsigned asked = 0;
  unsigned drains_joined = 0;

  unsigned in_use() const {
    unsigned sum = 0;
    for (const unsigned w : holders) sum += w;
    for (const auto& [number, c] : customers) sum += c.is == status::granted ? c.weight : 0;
    return sum;
  }
  bool fits(unsigned weight) const { return in_use() + weight <= o.limit; }
  bool by_rank() const { return o.order == queue_order::priority; }
  bool newest_first() const {
    return o.order == queue_order::lifo || (o.order == queue_order::codel && backlogged);
  }

  /// Of those who wait, by rank and then by age where ranks count.
  std::vector<unsigned> in_order() const {
    std::vector<unsigned> all = queue;
    if (by_rank()) {
      std::ranges::sort(all, {}, [&](unsigned n) { return std::pair(customers.at(n).rank, n); });
    }
    if (newest_first()) std::ranges::reverse(all);
    return all;
  }

  void unqueue(unsigned n) { std::erase(queue, n); }

  void refuse(unsigned n, errc code) {
    unqueue(n);
    customer& c = customers.at(n);
    c.is = c.is == status::waits ? status::refused : status::passed;
    c.code = code;
  }

  void serve() {
    while (!queue.empty() && fits(customers.at(in_order().front()).weight)) {
      const unsigned n = in_order().front();
      unqueue(n);
      customer& c = customers.at(n);
      c.is = c.is == status::waits ? status::granted : status::passed;
    }
    if (queue.empty() && closed && in_use() == 0) {
      for (auto& [number, heard] : drains) heard = true;
    }
  }

  bool try_acquire(unsigned weight) {
    if (closed || !queue.empty() || !fits(weight)) return false;
    holders.push_back(weight);
    return true;
  }

  /// Whether a wish goes before all who wait.
  bool first(hf::priority rank) const {
    if (queue.empty() || newest_first()) return true;
    return by_rank() && customers.at(in_order().front()).rank > rank;
  }

  std::optional<unsigned> victim(hf::priority rank) const {
    if (o.queue == 0 || queue.empty()) return {};
    if (newest_first()) return queue.front();
    if (!by_rank() || customers.at(in_order().back()).rank <= rank) return {};
    return in_order().back();
  }

  admission refuses_at_once(unsigned weight) const {
    if (closed) return admission::closed;
    if (weight > o.limit) return admission::too_heavy;
    const bool may_evict = o.order != queue_order::fifo && o.queue != 0;
    return !may_evict && queue.size() >= o.queue ? admission::refused : admission::queued;
  }

  admission ask(unsigned weight, hf::priority rank) {
    const unsigned n = ++asked;
    if (closed) return admission::closed;
    if (weight > o.limit) return admission::too_heavy;
    if (queue.empty()) backlogged_since = now;
    backlogged = !queue.empty() && now - backlogged_since >= o.codel_interval;
    if (fits(weight) && first(rank)) {
      holders.push_back(weight);
      return admission::granted;
    }
    if (queue.size() >= o.queue) {
      const auto loser = victim(rank);
      if (!loser) return admission::refused;
      refuse(*loser, by_rank() ? errc::shed : errc::bulkhead_full);
    }
    hf::time_point until = hf::never;
    if (o.max_queue_time > 0s) until = now + o.max_queue_time;
    if (o.order == queue_order::codel) {
      until = std::min(until, now + (backlogged ? o.codel_target : o.codel_interval));
    }
    customers[n] = {.weight = weight, .rank = rank, .since = now, .wait_until = until};
    queue.push_back(n);
    return admission::queued;
  }

  void release(std::size_t which) {
    test::take_out(holders, which);
    serve();
  }

  bool too_late(unsigned n) const {
    return customers.at(n).is == status::given_up || customers.at(n).is == status::passed;
  }

  void abandon(unsigned n) {
    if (too_late(n)) ++refusals[reason::expired];
    unqueue(n);
    customers.erase(n);
    serve();
  }

  wait_end finish(unsigned n) {
    customer& c = customers.at(n);
    if (c.is == status::waits) {
      c.is = status::given_up;
      return wait_end::elapsed;
    }
    if (c.is == status::granted) {
      holders.push_back(c.weight);
      waited.push_back(now - c.since);
    } else {
      ++refusals[c.code == errc::shutting_down ? reason::closed
                 : c.code == errc::too_heavy   ? reason::too_heavy
                                               : reason::evicted];
    }
    customers.erase(n);
    return wait_end::granted;
  }

  void resize(unsigned limit) {
    o.limit = limit;
    for (const unsigned n : std::vector(queue)) {
      if (customers.at(n).weight > limit) refuse(n, errc::too_heavy);
    }
    serve();
  }

  void reconfigure(const hf::bulkhead_options& to) {
    if (by_rank() && to.order != o.order) {  // by age; of one age, by rank
      std::ranges::sort(queue, {}, [&](unsigned n) {
        return std::tuple(customers.at(n).since, customers.at(n).rank, n);
      });
    }
    o = to;
    resize(to.limit);
  }

  void close() {
    closed = true;
    for (const unsigned n : std::vector(queue)) refuse(n, errc::shutting_down);
    serve();
  }
};

struct subject {
  struct drain {
    hf::detail::drain_wait place;
  };

  explicit subject(const hf::bulkhead_options& o) : core(o) {}

  static boost::asio::io_context& context() {
    static boost::asio::io_context one{1};
    return one;
  }

  /// One who comes for the first time, or again.
  std::unique_ptr<test::customer> customer(hf::priority rank) {
    auto& known = regulars[rank];
    if (!known.empty()) return test::take_out(known, 0);
    return std::make_unique<test::customer>(context(), hf::call_options{.priority = rank});
  }
  void lose(unsigned who) {
    auto i = customers.find(who);
    regulars[i->second->operation.priority()].push_back(std::move(i->second));
    customers.erase(i);
  }

  bulkhead_core core;
  hf::time_point now = start;
  std::map<unsigned, std::unique_ptr<test::customer>> customers;
  std::map<hf::priority, std::vector<std::unique_ptr<test::customer>>> regulars;
  std::vector<unsigned> holders;
  std::map<unsigned, std::unique_ptr<drain>> drains;
  unsigned asked = 0;
  unsigned drains_joined = 0;
};

void compare_queue_times(std::vector<hf::duration> waited, const hf::bulkhead_snapshot& is) {
  RC_ASSERT(is.queued == waited.size());
  if (waited.empty()) {
    RC_ASSERT(is.queue_time_p50 == 0s);
    RC_ASSERT(is.queue_time_p99 == 0s);
    RC_ASSERT(is.queue_time_max == 0s);
    return;
  }
  std::ranges::sort(waited);
  const auto near = [&](hf::duration d, std::size_t percent) {
    const hf::duration exact = waited[(waited.size() * percent + 99) / 100 - 1];
    return d >= exact && d <= std::min(exact + std::max<hf::duration>(exact / 4, 1us),
                                       waited.back());
  };
  RC_ASSERT(near(is.queue_time_p50, 50));
  RC_ASSERT(near(is.queue_time_p99, 99));
  RC_ASSERT(is.queue_time_max == waited.back());
}

void compare(const model& m, const subject& s) {
  const hf::bulkhead_snapshot is = s.core.snapshot();
  RC_ASSERT(is.limit == m.o.limit);
  RC_ASSERT(is.in_use == m.in_use());
  RC_ASSERT(is.waiting == m.queue.size());
  RC_ASSERT(is.closed == m.closed);
  RC_ASSERT(is.standing_queue ==
            (m.o.order == queue_order::codel && m.backlogged && !m.queue.empty()));
  const auto refused = [&](reason r) {
    const auto i = m.refusals.find(r);
    return i == m.refusals.end() ? 0 : i->second;
  };
  RC_ASSERT(is.found_full == refused(reason::full));
  RC_ASSERT(is.expired == refused(reason::expired));
  RC_ASSERT(is.evicted == refused(reason::evicted));
  RC_ASSERT(is.too_heavy == refused(reason::too_heavy));
  RC_ASSERT(is.shut_out == refused(reason::closed));
  RC_ASSERT(is.refused ==
            is.found_full + is.expired + is.evicted + is.too_heavy + is.shut_out);
  RC_ASSERT(s.core.limit() == is.limit);
  RC_ASSERT(s.core.in_use() == is.in_use);
  RC_ASSERT(s.core.waiting() == is.waiting);
  RC_ASSERT(s.core.refused() == is.refused);
  compare_queue_times(m.waited, is);
  for (unsigned weight = 1; weight <= m.o.limit + 1; ++weight) {
    RC_ASSERT(s.core.refuses_at_once(weight) == m.refuses_at_once(weight));
  }
  RC_ASSERT(s.customers.size() == m.customers.size());
  for (const auto& [number, c] : m.customers) {
    const test::customer& one = *s.customers.at(number);
    RC_ASSERT(one.waits() == c.queued());
    RC_ASSERT(one.granted() == (c.is == model::status::granted));
    RC_ASSERT(one.refused_with(c.code) == (c.is == model::status::refused));
  }
  for (const auto& [number, heard] : m.drains) {
    RC_ASSERT(s.drains.at(number)->place.wait.granted() == heard);
    RC_ASSERT(s.drains.at(number)->place.linked != heard);
  }
}

hf::bulkhead_options any_options() {
  using test::number;
  hf::bulkhead_options o;
  o.limit = number(1, 6);
  o.queue = number(0, 6);
  o.order = *rc::gen::element(queue_order::fifo, queue_order::lifo, queue_order::priority,
                              queue_order::codel);
  o.max_queue_time = number(0, 2) * hf::duration(30ms);
  o.codel_interval = number(1, 10) * hf::duration(10ms);
  o.codel_target = std::min<hf::duration>(o.codel_interval, number(1, 3) * hf::duration(5ms));
  return o;
}

using command = rc::state::Command<model, subject>;

struct pass_time : command {
  hf::duration by;
  explicit pass_time(const model& m) {
    const hf::duration interval_over =
        std::max<hf::duration>(m.backlogged_since + m.o.codel_interval - m.now, 1ns);
    by = *rc::gen::weightedOneOf<hf::duration>(
        {{4, rc::gen::map(test::below(1, 30'000),
                          [](int n) { return hf::duration(n * 1us); })},
         {1, rc::gen::element(interval_over, hf::duration(interval_over - 1ns))}});
  }
  void apply(model& m) const override { m.now += by; }
  void run(const model& m, subject& s) const override {
    s.now += by;
    compare(nextState(m), s);
  }
  void show(std::ostream& os) const override { os << "pass_time " << by.count() << "ns"; }
};

struct try_acquire : command {
  unsigned weight;
  explicit try_acquire(const model& m) : weight(test::number(1, m.o.limit + 1)) {}
  void apply(model& m) const override { m.try_acquire(weight); }
  void run(const model& m, subject& s) const override {
    if (s.core.try_acquire(weight)) s.holders.push_back(weight);
    const model next = nextState(m);
    RC_ASSERT(s.holders == next.holders);
    compare(next, s);
  }
  void show(std::ostream& os) const override { os << "try_acquire " << weight; }
};

struct ask : command {
  unsigned weight;
  hf::priority rank = static_cast<hf::priority>(test::number(0, 5));  // one of them is unknown
  explicit ask(const model& m)
      : weight(test::maybe(0.5) ? 1 : test::number(1, m.o.limit + 1)) {}
  static reason why(admission a) {
    return a == admission::closed      ? reason::closed
           : a == admission::too_heavy ? reason::too_heavy
                                       : reason::full;
  }
  static bool refused(admission a) {
    return a != admission::granted && a != admission::queued;
  }
  admission apply_to(model& m) const {
    const admission a = m.ask(weight, std::min(rank, hf::priority::background));
    if (refused(a)) ++m.refusals[why(a)];
    return a;
  }
  void apply(model& m) const override { apply_to(m); }
  void run(const model& m, subject& s) const override {
    const unsigned number = ++s.asked;
    auto one = s.customer(rank);
    one->options.weight = weight;
    const admission a = one->ask(s.core, s.now);
    model next = m;
    RC_ASSERT(a == apply_to(next));
    RC_ASSERT((one->place != nullptr) == (a == admission::queued));
    if (a == admission::queued) {
      RC_ASSERT(one->place->until == next.customers.at(number).wait_until);
      s.customers[number] = std::move(one);
    }
    if (a == admission::granted) s.holders.push_back(weight);
    if (refused(a)) s.core.count_refusal(why(a));
    compare(next, s);
  }
  void show(std::ostream& os) const override {
    os << "ask " << weight << ' ' << to_string(rank);
  }
};

struct release : command {
  std::size_t which;
  explicit release(const model& m)
      : which(*test::below<std::size_t>(0, std::max<std::size_t>(m.holders.size(), 1))) {}
  void checkPreconditions(const model& m) const override { RC_PRE(which < m.holders.size()); }
  void apply(model& m) const override { m.release(which); }
  void run(const model& m, subject& s) const override {
    s.core.release(test::take_out(s.holders, which));
    compare(nextState(m), s);
  }
  void show(std::ostream& os) const override { os << "release " << which; }
};

/// One of those with a place, or zero.
unsigned any_customer(const model& m) {
  if (m.customers.empty()) return 0;
  auto i = m.customers.begin();
  std::advance(i, *test::below<std::size_t>(0, m.customers.size()));
  return i->first;
}

struct abandon : command {
  unsigned who;
  explicit abandon(const model& m) : who(any_customer(m)) {}
  void checkPreconditions(const model& m) const override { RC_PRE(m.customers.contains(who)); }
  void apply(model& m) const override { m.abandon(who); }
  void run(const model& m, subject& s) const override {
    s.core.abandon(*s.customers.at(who)->place);
    if (m.too_late(who)) s.core.count_refusal(reason::expired);
    s.lose(who);
    compare(nextState(m), s);
  }
  void show(std::ostream& os) const override { os << "abandon " << who; }
};

/// The operation goes on: with its permit, with a refusal, or because its time is over.
struct finish : command {
  unsigned who;
  explicit finish(const model& m) : who(any_customer(m)) {}
  void checkPreconditions(const model& m) const override {
    const bool may = m.customers.contains(who) && !m.too_late(who);
    RC_PRE(may);
  }
  void apply(model& m) const override { m.finish(who); }
  void run(const model& m, subject& s) const override {
    model next = m;
    test::customer& one = *s.customers.at(who);
    const wait_end end = one.finish();
    RC_ASSERT(end == next.finish(who));
    const model::customer& before = m.customers.at(who);
    if (before.is == model::status::granted) {
      s.holders.push_back(before.weight);
      s.core.count_queued(s.now - one.place->since);
    } else if (before.is == model::status::refused) {
      s.core.count_refusal(before.code == errc::shutting_down ? reason::closed
                           : before.code == errc::too_heavy   ? reason::too_heavy
                                                              : reason::evicted);
    }
    if (end == wait_end::granted) s.lose(who);
    compare(next, s);
  }
  void show(std::ostream& os) const override { os << "finish " << who; }
};

struct resize : command {
  unsigned limit = test::number(1, 6);
  explicit resize(const model&) {}
  void apply(model& m) const override { m.resize(limit); }
  void run(const model& m, subject& s) const override {
    s.core.resize(limit);
    compare(nextState(m), s);
  }
  void show(std::ostream& os) const override { os << "resize " << limit; }
};

struct reconfigure : command {
  hf::bulkhead_options to = any_options();
  explicit reconfigure(const model&) {}
  void apply(model& m) const override { m.reconfigure(to); }
  void run(const model& m, subject& s) const override {
    s.core.reconfigure(to);
    RC_ASSERT(s.core.options().queue == to.queue);
    compare(nextState(m), s);
  }
  void show(std::ostream& os) const override {
    os << "reconfigure " << to.limit << '+' << to.queue << ' ' << to_string(to.order);
  }
};

struct close : command {
  explicit close(const model&) {}
  void apply(model& m) const override { m.close(); }
  void run(const model& m, subject& s) const override {
    s.core.close();
    compare(nextState(m), s);
  }
  void show(std::ostream& os) const override { os << "close"; }
};

struct join : command {
  explicit join(const model&) {}
  void apply(model& m) const override {
    m.drains[++m.drains_joined] = false;
    m.serve();
  }
  void run(const model& m, subject& s) const override {
    auto& d = s.drains[++s.drains_joined] = std::make_unique<subject::drain>();
    d->place.wait.prepare(hf::time_service::of(subject::context().get_executor()), {});
    s.core.join(d->place);
    compare(nextState(m), s);
  }
  void show(std::ostream& os) const override { os << "join"; }
};

struct leave : command {
  unsigned who;
  explicit leave(const model& m) : who(test::number(1, std::max(m.drains_joined, 1u))) {}
  void checkPreconditions(const model& m) const override { RC_PRE(m.drains.contains(who)); }
  void apply(model& m) const override { m.drains.erase(who); }
  void run(const model& m, subject& s) const override {
    s.core.leave(s.drains.at(who)->place);
    s.drains.erase(who);
    compare(nextState(m), s);
  }
  void show(std::ostream& os) const override { os << "leave " << who; }
};

rc::Gen<std::shared_ptr<const command>> any_command(const model& m) {
  return rc::gen::weightedOneOf<std::shared_ptr<const command>>({{10, test::make<try_acquire>(m)},
                                                                 {30, test::make<ask>(m)},
                                                                 {15, test::make<release>(m)},
                                                                 {6, test::make<abandon>(m)},
                                                                 {15, test::make<finish>(m)},
                                                                 {20, test::make<pass_time>(m)},
                                                                 {3, test::make<resize>(m)},
                                                                 {5, test::make<reconfigure>(m)},
                                                                 {1, test::make<close>(m)},
                                                                 {4, test::make<join>(m)},
                                                                 {3, test::make<leave>(m)}});
}

/// Everything comes back, and then everything is there.
void let_all_go(subject& s) {
  while (!s.customers.empty()) {
    s.core.abandon(*s.customers.begin()->second->place);
    s.customers.erase(s.customers.begin());
  }
  while (!s.holders.empty()) s.core.release(test::take_out(s.holders, 0));
  RC_ASSERT(s.core.in_use() == 0u);
  RC_ASSERT(s.core.waiting() == 0u);
  for (const auto& [number, d] : s.drains) {
    RC_ASSERT(d->place.wait.granted() == s.core.snapshot().closed);
    s.core.leave(d->place);
  }
}

}  // namespace

TEST_CASE("a bulkhead is the list of its holders and the list of those who wait",
          "[bulkhead][property]") {
  const bool held = test::holds("bulkhead", {.count = 1500, .size = 100}, [] {
    model m;
    m.o = any_options();
    subject s(m.o);
    rc::state::check(m, s, any_command);
    let_all_go(s);
  });
  CHECK(held);
}
