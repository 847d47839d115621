// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <holdfast/configuration.hpp>
#include <string_view>
#include <type_traits>

/// \file
/// The one description of each options struct: its members with their names. Reading, printing and
/// comparing go by it. The `name` is left out, since it is the service's.

namespace holdfast::detail {

template <class Options>
struct members;  // static void visit(f): calls f(name, pointer to member) for each

template <>
struct members<service_options> {
  template <class F>
  static void visit(F&& f) {
    using o = service_options;
    f("timeout", &o::timeout);
    f("retry", &o::retry);
    f("circuit_breaker", &o::circuit_breaker);
    f("bulkhead", &o::bulkhead);
    f("rate_limiter", &o::rate_limiter);
    f("retry_budget", &o::retry_budget);
    f("throttle", &o::throttle);
    f("adaptive_limit", &o::adaptive_limit);
    f("hedge", &o::hedge);
    f("load_shedder", &o::load_shedder);
    f("chaos", &o::chaos);
  }
};

template <>
struct members<timeout> {
  template <class F>
  static void visit(F&& f) {
    f("after", &timeout::after);
    f("mode", &timeout::mode);
    f("grace", &timeout::grace);
    f("max_detached", &timeout::max_detached);
  }
};

template <>
struct members<backoff> {
  template <class F>
  static void visit(F&& f) {
    f("kind", &backoff::kind);
    f("base", &backoff::base);
    f("cap", &backoff::cap);
    f("factor", &backoff::factor);
    f("jitter", &backoff::jitter);
  }
};

template <>
struct members<retry> {
  template <class F>
  static void visit(F&& f) {
    f("max_attempts", &retry::max_attempts);
    f("max_elapsed", &retry::max_elapsed);
    f("wait", &retry::wait);
    f("honour_retry_after", &retry::honour_retry_after);
    f("max_retry_after", &retry::max_retry_after);
    f("only_if", &retry::only_if);
    f("wait_for_circuit", &retry::wait_for_circuit);
  }
};

template <>
struct members<recovery_step> {
  template <class F>
  static void visit(F&& f) {
    f("share", &recovery_step::share);
    f("minimum_calls", &recovery_step::minimum_calls);
    f("failure_rate", &recovery_step::failure_rate);
    f("at_least", &recovery_step::at_least);
  }
};

template <>
struct members<recovery_ramp> {
  template <class F>
  static void visit(F&& f) {
    f("steps", &recovery_ramp::steps);
    f("failed_step", &recovery_ramp::failed_step);
  }
};

template <>
struct members<circuit_breaker_options> {
  template <class F>
  static void visit(F&& f) {
    using o = circuit_breaker_options;
    f("consecutive_failures", &o::consecutive_failures);
    f("failure_rate", &o::failure_rate);
    f("slow_rate", &o::slow_rate);
    f("slow_after", &o::slow_after);
    f("slow_counts_as_failure", &o::slow_counts_as_failure);
    f("opens_if", &o::opens_if);
    f("window", &o::window);
    f("window_calls", &o::window_calls);
    f("minimum_calls", &o::minimum_calls);
    f("open_for", &o::open_for);
    f("open_growth", &o::open_growth);
    f("max_open_for", &o::max_open_for);
    f("open_jitter", &o::open_jitter);
    f("max_retry_after", &o::max_retry_after);
    f("half_open_probes", &o::half_open_probes);
    f("successes_to_close", &o::successes_to_close);
    f("half_open_calls", &o::half_open_calls);
    f("half_open_failure_rate", &o::half_open_failure_rate);
    f("probe_timeout", &o::probe_timeout);
    f("probe_lease", &o::probe_lease);
    f("recovery", &o::recovery);
  }
};

template <>
struct members<bulkhead_options> {
  template <class F>
  static void visit(F&& f) {
    using o = bulkhead_options;
    f("limit", &o::limit);
    f("queue", &o::queue);
    f("max_queue_time", &o::max_queue_time);
    f("order", &o::order);
    f("codel_interval", &o::codel_interval);
    f("codel_target", &o::codel_target);
  }
};

template <>
struct members<rate_limiter_options> {
  template <class F>
  static void visit(F&& f) {
    using o = rate_limiter_options;
    f("permits", &o::permits);
    f("period", &o::period);
    f("burst", &o::burst);
    f("algorithm", &o::algorithm);
    f("max_wait", &o::max_wait);
    f("max_waiting", &o::max_waiting);
    f("weighted", &o::weighted);
    f("max_hint", &o::max_hint);
  }
};

template <>
struct members<retry_budget_options> {
  template <class F>
  static void visit(F&& f) {
    using o = retry_budget_options;
    f("mode", &o::mode);
    f("ratio", &o::ratio);
    f("ttl", &o::ttl);
    f("min_per_second", &o::min_per_second);
    f("max_tokens", &o::max_tokens);
    f("token_ratio", &o::token_ratio);
  }
};

template <>
struct members<throttle_options> {
  template <class F>
  static void visit(F&& f) {
    using o = throttle_options;
    f("multiplier", &o::multiplier);
    f("window", &o::window);
    f("min_per_second", &o::min_per_second);
    f("max_rejection", &o::max_rejection);
  }
};

template <>
struct members<adaptive_limit_options> {
  template <class F>
  static void visit(F&& f) {
    using o = adaptive_limit_options;
    f("algorithm", &o::algorithm);
    f("initial_limit", &o::initial_limit);
    f("min_limit", &o::min_limit);
    f("max_limit", &o::max_limit);
    f("window", &o::window);
    f("min_samples", &o::min_samples);
    f("quantile", &o::quantile);
    f("tolerance", &o::tolerance);
    f("smoothing", &o::smoothing);
    f("measure_idle_every", &o::measure_idle_every);
    f("backoff", &o::backoff);
    f("increase", &o::increase);
    f("slow_after", &o::slow_after);
  }
};

template <>
struct members<hedge_options> {
  template <class F>
  static void visit(F&& f) {
    using o = hedge_options;
    f("delay", &o::delay);
    f("percentile", &o::percentile);
    f("window", &o::window);
    f("minimum_samples", &o::minimum_samples);
    f("minimum_delay", &o::minimum_delay);
    f("max_hedges", &o::max_hedges);
    f("hedge_non_idempotent", &o::hedge_non_idempotent);
  }
};

template <>
struct members<load_shedder_options> {
  template <class F>
  static void visit(F&& f) {
    using o = load_shedder_options;
    f("signal", &o::signal);
    f("threshold", &o::threshold);
    f("window", &o::window);
    f("window_calls", &o::window_calls);
    f("minimum_calls", &o::minimum_calls);
    f("decrease", &o::decrease);
    f("increase", &o::increase);
    f("capacity", &o::capacity);
    f("tenant_burst", &o::tenant_burst);
    f("rotate_every", &o::rotate_every);
  }
};

template <>
struct members<chaos_delay> {
  template <class F>
  static void visit(F&& f) {
    f("kind", &chaos_delay::kind);
    f("base", &chaos_delay::base);
    f("cap", &chaos_delay::cap);
  }
};

template <>
struct members<chaos_rule> {
  template <class F>
  static void visit(F&& f) {
    using r = chaos_rule;
    f("rate", &r::rate);
    f("first_attempt", &r::first_attempt);
    f("last_attempt", &r::last_attempt);
    f("from", &r::from);
    f("until", &r::until);
    f("only_if", &r::only_if);
    f("delay", &r::delay);
    f("hang", &r::hang);
    f("fault", &r::fault);
  }
};

/// Without `enabled`: the switch is the program's, and no change of the configuration throws it.
template <>
struct members<chaos_options> {
  template <class F>
  static void visit(F&& f) {
    f("seed", &chaos_options::seed);
    f("rules", &chaos_options::rules);
  }
};

template <class T>
concept with_members = requires { members<T>::visit([](std::string_view, auto) {}); };

// The values of the enumerations.

inline std::string_view name_of(timeout_mode m) {
  return m == timeout_mode::detach ? "detach" : "cooperative";
}
inline std::string_view name_of(recovery_ramp::on_failure f) {
  return f == recovery_ramp::on_failure::open ? "open" : "back_one_step";
}
template <class E>
std::string_view name_of(E value) {
  return to_string(value);
}

template <class E>
inline constexpr int values = 0;  // an array of all of them
template <>
inline constexpr std::array values<timeout_mode>{timeout_mode::cooperative, timeout_mode::detach};
template <>
inline constexpr std::array values<recovery_ramp::on_failure>{
    recovery_ramp::on_failure::back_one_step, recovery_ramp::on_failure::open};
template <>
inline constexpr std::array values<backoff_kind>{backoff_kind::constant, backoff_kind::linear,
                                                 backoff_kind::exponential};
template <>
inline constexpr std::array values<jitter>{jitter::none, jitter::full, jitter::equal,
                                           jitter::decorrelated};
template <>
inline constexpr std::array values<queue_order>{queue_order::fifo, queue_order::lifo,
                                                queue_order::priority, queue_order::codel};
template <>
inline constexpr std::array values<limiter_algorithm>{limiter_algorithm::gcra,
                                                      limiter_algorithm::sliding_window};
template <>
inline constexpr std::array values<budget_mode>{budget_mode::ratio, budget_mode::tokens};
template <>
inline constexpr std::array values<limit_algorithm>{
    limit_algorithm::gradient, limit_algorithm::vegas, limit_algorithm::aimd};
template <>
inline constexpr std::array values<overload_signal>{overload_signal::queue_time,
                                                    overload_signal::latency};

template <>
inline constexpr std::array values<chaos_delay_kind>{
    chaos_delay_kind::constant, chaos_delay_kind::uniform, chaos_delay_kind::exponential};

// The kinds of members.

template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;
template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;
template <class T>
inline constexpr bool is_function = false;
template <class T>
inline constexpr bool is_function<std::function<T>> = true;

/// The policies that are missing from a service's are those of the defaults.
inline void add_missing(service_options& own, const service_options& defaults) {
  members<service_options>::visit([&](std::string_view, auto member) {
    if (!(own.*member)) own.*member = defaults.*member;
  });
}

}  // namespace holdfast::detail
