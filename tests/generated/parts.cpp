// SPDX-License-Identifier: BSL-1.0
#include "parts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

namespace gen {

namespace {

/// A function of the user's that throws.
struct throws_always {
  template <class... Args>
  bool operator()(Args&&...) const {
    throw thrown_by_function();
  }
};
constexpr std::string_view throws_spelled = "[](auto&&...) -> bool { throw std::logic_error(\"\"); }";

/// None, one that says no, or one that throws.
template <class Function>
void draw_predicate(source& s, options_text& o, std::string_view name, Function& f) {
  const std::uint32_t which = s.pick(10);
  if (which == 8) {
    f = [](auto&&...) { return false; };
    o.add(name, "[](auto&&...) { return false; }");
  }
  if (which == 9 && drawn_classes().throws) {
    f = throws_always();
    o.add(name, throws_spelled);
  }
}

}  // namespace

// --- what parts share

void options_text::add(std::string_view name, std::string_view to) {
  text_ += fmt::format("{}.{} = {}", text_.empty() ? "" : ", ", name, to);
}

std::string options_text::spelled(double d) { return fmt::format("{}", d); }

std::string materials::name(std::string_view what) {
  std::string n(what);
  while (std::ranges::find(names, n) != names.end()) n += "_too";
  return names.emplace_back(n);
}

const hf::retry_budget& materials::shared_budget(source& s) {
  if (!budget) {
    hf::retry_budget_options b;
    options_text o;
    o.set("mode", b.mode, s.one_of({hf::budget_mode::ratio, hf::budget_mode::tokens}));
    o.set("ratio", b.ratio, s.one_of({0.2, 0.0, 1.0, 1000.0}));
    o.set("ttl", b.ttl, s.one_of<hf::duration>({24h * 365, 10s, 1ms}));
    o.set("min_per_second", b.min_per_second, s.one_of({10.0, 0.0, 1e6}));
    o.set("max_tokens", b.max_tokens, s.one_of({100u, 1u, 2u}));
    budget.emplace(b);
    budget_text = "hf::retry_budget budget{" + o.braces() + "};";
  }
  return *budget;
}

judge draw_judge(source& s) {
  judge j;
  const std::uint32_t which = s.pick(8);
  if (which == 6) j.how = judge::mode::throttles;
  if (which == 7 && drawn_classes().throws) j.how = judge::mode::throws;
  return j;
}

// --- timeout

timeout_part::timeout_part(source& s, materials&) {
  options_text o;
  o.set("after", options.after, s.bound(1ns));
  const bool detaches = s.pick(4) == 3 && drawn_classes().orphan;
  const hf::duration grace = s.pick(3) < 2 ? hf::duration(0) : s.time();
  const unsigned places = s.one_of({64u, 1u, 2u});
  if (detaches) {
    options.mode = hf::timeout_mode::detach;
    o.add("mode", "hf::timeout_mode::detach");
    o.set("grace", options.grace, grace);
    o.set("max_detached", options.max_detached, places);
  }
  added = ".with(hf::timeout" + o.braces() + ")";
}

void timeout_part::tell(stack_facts& f) const {
  if (f.kinds.empty()) f.innermost = options.after;
  const bool detaches = options.mode == hf::timeout_mode::detach;
  f.attempt_limit = std::min(f.attempt_limit, options.after);
  if (!f.has('c')) f.shared_limit = std::min(f.shared_limit, options.after);
  f.least_timeout = std::min(f.least_timeout, options.after);
  if (options.after < f.whole_limit) {
    f.whole_limit = options.after;
    f.whole_grace = options.grace;
    f.whole_places = detaches ? options.max_detached : 0;
  }
  // To a link the timeouts around it are its caller's deadline.
  f.total |= f.has('r') || f.has('n');
  f.detaches |= detaches;
  if (detaches) f.places += options.max_detached;
  f.kinds += letter;
}

// --- retry

retry_part::retry_part(source& s, materials& m) {
  options_text o;
  o.set("max_attempts", options.max_attempts, s.one_of({2u, 3u, 1u, 5u, 4'000'000'000u}));
  o.set("max_elapsed", options.max_elapsed, s.pick(4) < 3 ? hf::duration(0) : s.bound(0ms));
  options_text b;
  hf::backoff& wait = options.wait;
  b.set("kind", wait.kind, s.one_of({hf::backoff_kind::exponential, hf::backoff_kind::constant,
                                     hf::backoff_kind::linear}));
  b.set("base", wait.base, s.pick(3) == 0 ? hf::duration(0) : s.time());
  b.set("cap", wait.cap, std::max(wait.base, s.time()));
  b.set("factor", wait.factor, s.one_of({2.0, 1.0, 1e9}));
  b.set("jitter", wait.jitter, s.one_of({hf::jitter::none, hf::jitter::full, hf::jitter::equal,
                                         hf::jitter::decorrelated}));
  o.add("wait", b.braces());
  o.set("honour_retry_after", options.honour_retry_after, s.pick(4) < 3);
  o.set("max_retry_after", options.max_retry_after, s.pick(3) < 2 ? 60s : s.bound(0ms));
  draw_predicate(s, o, "only_if", options.only_if);
  if (s.pick(3) == 2) {
    options.budget = m.shared_budget(s);
    o.add("budget", "budget");
  }
  o.set("wait_for_circuit", options.wait_for_circuit,
        s.pick(4) < 3 ? hf::duration(0) : s.time());
  added = ".with(hf::retry" + o.braces() + ")";
}

void retry_part::tell(stack_facts& f) const {
  f.whole_limit = hf::duration::max();
  f.kinds += letter;
}

// --- circuit breaker

breaker_part::breaker_part(source& s, materials& m) {
  hf::circuit_breaker_options b;
  options_text o;
  o.set("consecutive_failures", b.consecutive_failures, s.one_of({5u, 1u, 2u, 0u}));
  o.set("failure_rate", b.failure_rate, s.one_of({0.0, 0.0, 0.5, 1.0}));
  o.set("slow_rate", b.slow_rate, s.one_of({0.0, 0.0, 0.5}));
  o.set("slow_after", b.slow_after, s.pick(4) < 3 ? hf::duration(0) : s.bound(0ms));
  draw_predicate(s, o, "opens_if", b.opens_if);
  o.set("window", b.window, s.pick(3) < 2 ? 10s : s.bound(10ns));
  o.set("window_calls", b.window_calls, s.one_of({0u, 0u, 20u, 10'000u}));
  o.set("minimum_calls", b.minimum_calls, s.one_of({20u, 1u, 2u}));
  o.set("open_for", b.open_for, s.bound(1ns));
  o.set("open_growth", b.open_growth, s.one_of({1.0, 2.0, 1000.0}));
  o.set("max_open_for", b.max_open_for, std::max<hf::duration>(10min, b.open_for));
  o.set("open_jitter", b.open_jitter, s.one_of({0.0, 1.0}));
  o.set("half_open_probes", b.half_open_probes, s.one_of({1u, 2u, 10'000u}));
  o.set("successes_to_close", b.successes_to_close, s.one_of({1u, 2u}));
  o.set("half_open_calls", b.half_open_calls, s.one_of({0u, 0u, 2u}));
  o.set("probe_timeout", b.probe_timeout, s.pick(3) < 2 ? hf::duration(0) : s.bound(0ms));
  o.set("probe_lease", b.probe_lease, s.pick(2) == 0 ? 60s : s.bound(1ns));
  if (s.pick(6) == 5) {
    b.recovery.emplace();
    o.add("recovery", "hf::recovery_ramp{}");
  }
  probe_limit_ = b.probe_timeout > 0ms ? std::min(b.probe_timeout, b.probe_lease) : b.probe_lease;
  sees_slow_ = b.slow_rate > 0 || b.slow_after > 0ms || b.opens_if;
  policy_.emplace(b);
  if (s.pick(8) == 7 && drawn_classes().throws) watch_ = policy_->on_transition(throws_always());
  declare("hf::circuit_breaker", m.name("breaker"), o.braces());
}

void breaker_part::tell(stack_facts& f) const {
  limit_inside_ = f.attempt_limit;
  f.least_timeout = std::min(f.least_timeout, probe_limit_);
  f.kinds += letter;
}

void breaker_part::check_rest(world& w) const {
  if (!policy_) return;
  const hf::breaker_snapshot now = policy_->snapshot(w.now());
  if (now.probes_in_flight != 0) {
    w.complain("probes-left", fmt::format("{} probes are in flight", now.probes_in_flight));
  }
  if (now.state != hf::breaker_state::closed && !has_evidence(w)) {
    w.complain("breaker-blames", "a circuit is open, and no call has failed of itself, nor taken as "
                                 "long as a timeout within the breaker allows");
  }
}

/// Whether anything can have been counted against the service. Without a timeout within the breaker
/// a deadline from outside is the only measure, and counts.
bool breaker_part::has_evidence(const world& w) const {
  if (sees_slow_ || w.facts.injects || w.gone || limit_inside_ == hf::duration::max()) return true;
  if (std::ranges::count(w.facts.kinds, letter) > 1) return true;
  for (const client& c : w.clients) {
    for (const act& a : c.call.acts) {
      if (a.breaks_move || a.end == finish::aborted) return true;
    }
  }
  for (const attempt_record& a : w.attempts) {
    if (a.running || (a.concluded && !a.answer && a.code != asio::error::operation_aborted)) {
      return true;
    }
  }
  return std::ranges::any_of(w.operations, [this](const operation_record& o) {
    return o.begun && (!o.ended || o.ended_at - o.began >= limit_inside_);
  });
}

// --- breaker family

family_part::family_part(source& s, materials& m) {
  hf::breaker_family_options f;
  options_text o;
  options_text b;
  b.set("consecutive_failures", f.breaker.consecutive_failures, s.one_of({5u, 1u, 2u}));
  b.set("open_for", f.breaker.open_for, s.bound(1ns));
  b.set("half_open_probes", f.breaker.half_open_probes, s.one_of({1u, 2u}));
  b.set("probe_timeout", f.breaker.probe_timeout, s.pick(3) < 2 ? hf::duration(0) : s.bound(0ms));
  b.set("probe_lease", f.breaker.probe_lease, s.pick(2) == 0 ? 60s : s.bound(1ns));
  b.set("max_open_for", f.breaker.max_open_for,
        std::max<hf::duration>(10min, f.breaker.open_for));
  o.add("breaker", b.braces());
  o.set("max_keys", f.max_keys, s.one_of({100'000u, 1u}));
  o.set("idle_after", f.idle_after, s.one_of<hf::duration>({10min, 1s}));
  policy_.emplace(f);
  if (s.pick(8) == 7 && drawn_classes().throws) watch_ = policy_->on_transition(throws_always());
  declare("hf::breaker_family", m.name("family"), o.braces());
}

void family_part::tell(stack_facts& f) const {
  f.least_timeout = std::min(f.least_timeout, hf::duration(1));  // a probe's
  f.kinds += letter;
}

void family_part::check_rest(world& w) const {
  if (!policy_) return;
  for (const std::string_view key : {"", "tenant"}) {
    const auto now = policy_->snapshot_of(key, w.now());
    if (now && now->probes_in_flight != 0) {
      w.complain("probes-left", "probes of a family are in flight");
    }
  }
}

// --- bulkhead

bulkhead_part::bulkhead_part(source& s, materials& m) {
  hf::bulkhead_options b;
  options_text o;
  o.set("limit", b.limit, s.one_of({25u, 1u, 1u, 2u, 3u, 1'000'000'000u}));
  o.set("queue", b.queue, s.one_of({0u, 4u, 1u, 1000u, 1'000'000'000u}));
  o.set("max_queue_time", b.max_queue_time, s.pick(3) < 2 ? hf::duration(0) : s.bound(0ms));
  o.set("order", b.order, s.one_of({hf::queue_order::fifo, hf::queue_order::lifo,
                                    hf::queue_order::priority, hf::queue_order::codel}));
  o.set("codel_interval", b.codel_interval, s.pick(2) == 0 ? 100ms : s.bound(5ms));
  policy_.emplace(b);
  declare("hf::bulkhead", m.name("bulkhead"), o.braces());
}

void bulkhead_part::tell(stack_facts& f) const {
  f.whole_limit = hf::duration::max();
  f.kinds += letter;
}

void bulkhead_part::check_rest(world& w) const {
  if (!policy_) return;
  if (policy_->in_use() != 0 || policy_->waiting() != 0) {
    w.complain("permits-left", fmt::format("a bulkhead at rest has {} permits given out, {} waiting",
                                           policy_->in_use(), policy_->waiting()));
  }
}

// --- rate limiter

limiter_part::limiter_part(source& s, materials& m) {
  hf::rate_limiter_options l;
  options_text o;
  counts_ = s.pick(2) == 0;
  if (counts_) {
    o.set("permits", l.permits, 100'000'000u);
    o.set("period", l.period, hf::duration(24h * 365));
    o.set("algorithm", l.algorithm, hf::limiter_algorithm::sliding_window);
  } else {
    o.set("permits", l.permits, s.one_of({100u, 1u, 2u}));
    o.set("period", l.period, std::max(s.time(), hf::duration(l.permits)));
    l.algorithm = s.one_of({hf::limiter_algorithm::gcra, hf::limiter_algorithm::sliding_window});
    if (l.algorithm == hf::limiter_algorithm::gcra) {
      o.set("burst", l.burst, s.one_of({0u, 1u, 10u}));
    } else {
      o.add("algorithm", "hf::limiter_algorithm::sliding_window");
    }
  }
  o.set("max_wait", l.max_wait, s.pick(2) == 0 ? hf::duration(0) : s.bound(0ms, 24h * 365));
  o.set("max_waiting", l.max_waiting, s.one_of({1000u, 0u, 1u}));
  o.set("weighted", l.weighted, s.pick(4) < 3);
  o.set("max_hint", l.max_hint, s.pick(2) == 0 ? 60s : s.bound(0ms, 24h * 365));
  weighted_ = l.weighted;
  policy_.emplace(l);
  declare("hf::rate_limiter", m.name("limiter"), o.braces());
}

void limiter_part::tell(stack_facts& f) const {
  below_ = f.kinds;
  f.whole_limit = hf::duration::max();
  f.kinds += letter;
}

void limiter_part::check_rest(world& w) const {
  if (!policy_) return;
  if (policy_->snapshot(w.now()).waiting != 0) {
    w.complain("places-left", "an operation waits for a rate limiter, and all have ended");
  }
  check_costs(w);
}

/// Adds up what the calls below cost, and compares.
void limiter_part::check_costs(world& w) const {
  const std::string& all = w.facts.kinds;
  const auto inside = [this](char k) { return below_.find(k) != std::string::npos; };
  const bool outside_repeats =
      all.substr(below_.size() + 1).find_first_of("rh") != std::string::npos;
  const bool inside_repeats = inside('r') || inside('h') || inside('n');
  if (!counts_ || w.facts.has('c') || w.facts.detaches || w.facts.injects || w.gone ||
      w.user_threw || (outside_repeats && inside_repeats)) {
    return;
  }
  struct pass {
    bool made = false;
    std::optional<std::uint64_t> settled;
  };
  std::vector<pass> whole(w.operations.size());
  std::uint64_t cost = 0;
  const auto charge = [&](const pass& p, int op) {
    const std::uint64_t reserved =
        weighted_ ? w.clients[static_cast<std::size_t>(op)].cost : std::uint64_t{1};
    if (p.made) cost += weighted_ ? p.settled.value_or(reserved) : reserved;
  };
  for (const attempt_record& a : w.attempts) {
    if (a.op < 0) return;
    if (a.link && !inside('n')) continue;
    if (outside_repeats) {
      charge({true, a.settled}, a.op);
    } else {
      pass& p = whole[static_cast<std::size_t>(a.op)];
      p.made = true;
      if (a.settled) p.settled = p.settled.value_or(0) + *a.settled;
    }
  }
  for (std::size_t i = 0; i < whole.size(); ++i) charge(whole[i], static_cast<int>(i));
  const hf::limiter_snapshot now = policy_->snapshot(w.now());
  if (now.held_for > 0ms) return;  // the service has asked for silence: nothing is available
  const std::uint64_t taken = 100'000'000u - now.available;
  if (taken != cost) {
    w.complain("costs", fmt::format("a limiter has charged {}, and the calls below it cost {}",
                                    taken, cost));
  }
}

// --- hedge

hedge_part::hedge_part(source& s, materials& m) {
  hf::hedge_options h;
  options_text o;
  o.set("delay", h.delay, s.bound(0ms));
  o.set("percentile", h.percentile, s.one_of({0.0, 0.0, 0.5, 0.99}));
  o.set("window", h.window, s.pick(2) == 0 ? 60s : s.bound(1ns));
  o.set("minimum_samples", h.minimum_samples, s.one_of({100u, 1u}));
  o.set("minimum_delay", h.minimum_delay, s.pick(2) == 0 ? 1ms : s.bound(0ms));
  o.set("max_hedges", h.max_hedges, s.one_of({1u, 2u, 4u}));
  o.set("hedge_non_idempotent", h.hedge_non_idempotent, s.pick(2) == 1);
  if (s.pick(3) == 2) {
    h.budget = m.shared_budget(s);
    o.add("budget", "budget");
  }
  policy_.emplace(h);
  declare("hf::hedge", m.name("hedge"), o.braces());
}

void hedge_part::tell(stack_facts& f) const { f.kinds += letter; }

// --- cache

cache_part::cache_part(source& s, materials& m) {
  hf::cache_options<value> c;
  options_text o;
  o.set("max_entries", c.max_entries, s.one_of<std::size_t>({1000, 1, 2}));
  o.set("ttl", c.ttl, s.bound(0ms));
  o.set("ttl_jitter", c.ttl_jitter, s.one_of({0.1, 0.0, 1.0}));
  o.set("stale_while_revalidate", c.stale_while_revalidate,
        s.pick(3) < 2 ? hf::duration(0) : s.bound(0ms));
  if (s.pick(4) > 0) {
    o.set("stale_if_error", c.stale_if_error, s.pick(3) < 2 ? hf::duration(0) : s.bound(0ms));
  }
  o.set("refresh_ahead", c.refresh_ahead, s.one_of({0.0, 0.0, 0.5, 1.0}));
  o.set("refresh_timeout", c.refresh_timeout, s.pick(2) == 0 ? 30s : s.bound(1ns));
  o.set("negative_ttl", c.negative_ttl, s.pick(3) < 2 ? hf::duration(0) : s.bound(0ms));
  draw_predicate(s, o, "store_failure_if", c.store_failure_if);
  draw_predicate(s, o, "store_if", c.store_if);
  if (s.pick(8) == 7 && drawn_classes().throws) {
    c.key = [](const hf::call_context&) -> std::string { throw thrown_by_function(); };
    o.add("key", "[](const hf::call_context&) -> std::string { throw std::logic_error(\"\"); }");
  } else if (source::longest() < 1h && s.pick(4) == 3) {
    c.key = [](const hf::call_context&) {
      std::this_thread::sleep_for(20ms);  // real threads; virtual time does not pass here
      return std::string("slow");
    };
    o.add("key", "[](auto&) { std::this_thread::sleep_for(20ms); return std::string(\"slow\"); }");
  }
  refreshes_ = c.stale_while_revalidate > 0ms || c.refresh_ahead > 0;
  policy_.emplace(c);
  declare("hf::cache<int>", m.name("cache"), o.braces());
}

void cache_part::tell(stack_facts& f) const {
  f.whole_limit = hf::duration::max();
  f.refreshes |= refreshes_;
  f.kinds += letter;
}

void cache_part::check_rest(world& w) const {
  if (!policy_) return;
  if (const std::size_t left = policy_->snapshot().flights) {
    w.complain("flights-left", fmt::format("{} keys of a cache at rest are being fetched", left));
  }
}

// --- throttle

throttle_part::throttle_part(source& s, materials& m) {
  hf::throttle_options t;
  options_text o;
  o.set("multiplier", t.multiplier, s.one_of({2.0, 1.0, 1000.0}));
  o.set("window", t.window, s.one_of<hf::duration>({120s, 1ms, 10ms}));
  o.set("min_per_second", t.min_per_second, s.one_of({5.0, 0.0}));
  o.set("max_rejection", t.max_rejection, s.one_of({0.9, 1.0, 0.0}));
  policy_.emplace(t);
  declare("hf::throttle", m.name("throttle"), o.braces());
}

void throttle_part::tell(stack_facts& f) const { f.kinds += letter; }

// --- adaptive limit

adaptive_part::adaptive_part(source& s, materials& m) {
  hf::adaptive_limit_options a;
  options_text o;
  o.set("algorithm", a.algorithm, s.one_of({hf::limit_algorithm::gradient,
                                            hf::limit_algorithm::vegas,
                                            hf::limit_algorithm::aimd}));
  o.set("initial_limit", a.initial_limit, s.one_of({20u, 1u, 2u}));
  o.set("min_limit", a.min_limit, std::min(a.initial_limit, s.one_of({3u, 1u})));
  o.set("max_limit", a.max_limit, s.one_of({1000u, 1'000'000u}));
  o.set("window", a.window, s.one_of<hf::duration>({1s, 1ms, 10ms}));
  o.set("min_samples", a.min_samples, s.one_of({10u, 1u, 100u}));
  policy_.emplace(a);
  if (s.pick(8) == 7 && drawn_classes().throws) watch_ = policy_->on_change(throws_always());
  declare("hf::adaptive_limit", m.name("limit"), o.braces());
}

void adaptive_part::tell(stack_facts& f) const { f.kinds += letter; }

void adaptive_part::check_rest(world& w) const {
  if (policy_ && policy_->in_flight() != 0) {
    w.complain("places-left", fmt::format("{} places of an adaptive limit at rest are taken",
                                          policy_->in_flight()));
  }
}

// --- load shedder

shedder_part::shedder_part(source& s, materials& m) {
  hf::load_shedder_options l;
  options_text o;
  o.set("signal", l.signal, s.one_of({hf::overload_signal::latency,
                                      hf::overload_signal::queue_time}));
  o.set("threshold", l.threshold, s.one_of<hf::duration>({20ms, 1us, 60s}));
  o.set("window", l.window, s.one_of<hf::duration>({1s, 1ms}));
  o.set("window_calls", l.window_calls, s.one_of({2000u, 1u, 2u}));
  o.set("minimum_calls", l.minimum_calls, s.one_of({20u, 0u, 1u}));
  o.set("decrease", l.decrease, s.one_of({0.05, 1.0}));
  o.set("increase", l.increase, s.one_of({0.01, 1.0}));
  o.set("capacity", l.capacity, s.one_of({0u, 1u, 2u, 10u}));
  o.set("tenant_burst", l.tenant_burst, s.one_of({4u, 1u, 1000u}));
  policy_.emplace(l);
  declare("hf::load_shedder", m.name("shedder"), o.braces());
}

void shedder_part::tell(stack_facts& f) const { f.kinds += letter; }

void shedder_part::check_rest(world& w) const {
  if (policy_ && policy_->snapshot().in_flight != 0) {
    w.complain("places-left", "a load shedder at rest counts calls in flight");
  }
}

// --- chaos

chaos_part::chaos_part(source& s, materials& m) {
  hf::chaos_options c;
  options_text o;
  o.set("seed", c.seed, std::uint64_t{1} + s.pick(1000));
  o.set("enabled", c.enabled, s.pick(8) < 7);
  hf::chaos_rule r;
  options_text t;
  t.set("rate", r.rate, s.one_of({1.0, 0.5, 0.1}));
  t.set("first_attempt", r.first_attempt, s.one_of<std::uint64_t>({1, 2}));
  // Later attempts are left alone: a retry without end must come to one.
  t.set("last_attempt", r.last_attempt, s.one_of<std::uint64_t>({30, 2, 5}));
  if (s.pick(10) == 9 && drawn_classes().throws) {
    r.only_if = throws_always();
    t.add("only_if", throws_spelled);
  }
  options_text d;
  d.set("kind", r.delay.kind, s.one_of({hf::chaos_delay_kind::constant,
                                        hf::chaos_delay_kind::uniform,
                                        hf::chaos_delay_kind::exponential}));
  d.set("base", r.delay.base, s.time());
  d.set("cap", r.delay.cap, std::max<hf::duration>(r.delay.base, s.time()));
  t.add("delay", d.braces());
  if (s.pick(2) == 1) {
    r.fault = hf::failure(asio::error::connection_reset);
    t.add("fault", "hf::failure(asio::error::connection_reset)");
  }
  c.rules.push_back(r);
  o.add("rules", "{" + t.braces() + "}");
  policy_.emplace(c);
  if (s.pick(8) == 7 && drawn_classes().throws) watch_ = policy_->on_strike(throws_always());
  declare("hf::chaos", m.name("chaos"), o.braces());
}

void chaos_part::tell(stack_facts& f) const {
  f.injects = true;
  if (f.kinds.find('t') == std::string::npos) f.whole_limit = hf::duration::max();
  f.whole_limit = hf::duration::max();
  f.kinds += letter;
}

// --- fallbacks

fallback_part::fallback_part(source& s, materials& m) {
  options_text o;
  o.set("on_request_fault", options_.on_request_fault, s.pick(2) == 1);
  draw_predicate(s, o, "only_if", options_.only_if);
  if (s.pick(4) == 3) {
    options_.budget = m.shared_budget(s);
    o.add("budget", "budget");
  }
  options_spelled_ = o.braces();
}

value_part::value_part(source& s, materials& m) : fallback_part(s, m) {
  added = ".fallback(-2, " + options_spelled_ + ")";
}
void value_part::tell(stack_facts& f) const { f.kinds += letter; }

link_part::link_part(source& s, materials& m)
    : fallback_part(s, m), world_(m.w), script_(std::make_shared<script>(draw_script(s, true))) {
  options_text o;
  o.set("after", timeout_.after, s.bound(1ns));
  added = ".fallback(hf::resilient(link).with(hf::timeout" + o.braces() +
          ").with(hf::rate_limiter{}), " + options_spelled_ + ")";
}
void link_part::tell(stack_facts& f) const {
  f.least_timeout = std::min(f.least_timeout, timeout_.after);
  f.whole_limit = hf::duration::max();
  f.kinds += "tl";
  f.kinds += letter;
}

similar_part::similar_part(source& s, materials& m) : fallback_part(s, m) {
  hf::similar_options o;
  options_text t;
  if (drawn_classes().throws) {
    o.similarity = [](std::string_view, std::string_view) -> double { throw thrown_by_function(); };
    t.add("similarity", "[](auto, auto) -> double { throw std::logic_error(\"\"); }");
  }
  similar_.emplace(o);
  similar_->put("another key", value(-3));
  declared = "hf::similar_answers<int> similar{" + t.braces() +
             "};\n  similar.put(\"another key\", -3);";
  added = ".fallback(similar.link(), " + options_spelled_ + ")";
}
void similar_part::tell(stack_facts& f) const { f.kinds += letter; }

}  // namespace gen
