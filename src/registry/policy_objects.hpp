// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <holdfast/registry.hpp>
#include <tuple>

namespace holdfast::detail {

/// What is made from options: the shared object, or for a value the layer that checks it.
template <class Options>
struct made_from;
template <>
struct made_from<circuit_breaker_options> {
  using type = circuit_breaker;
};
template <>
struct made_from<bulkhead_options> {
  using type = bulkhead;
};
template <>
struct made_from<rate_limiter_options> {
  using type = rate_limiter;
};
template <>
struct made_from<retry_budget_options> {
  using type = retry_budget;
};
template <>
struct made_from<throttle_options> {
  using type = throttle;
};
template <>
struct made_from<adaptive_limit_options> {
  using type = adaptive_limit;
};
template <>
struct made_from<hedge_options> {
  using type = hedge;
};
template <>
struct made_from<load_shedder_options> {
  using type = load_shedder;
};
template <>
struct made_from<chaos_options> {
  using type = chaos;
};

/// Whether a service keeps an object for it.
template <class Options>
concept has_object = requires { typename made_from<Options>::type; };

template <class Options>
void set_name(Options& o, const std::string& name) {
  if constexpr (requires { o.name = name; }) o.name = name;
}

template <class Options>
auto make_object(Options o, time_point now) {
  using object = typename made_from<Options>::type;
  if constexpr (std::is_constructible_v<object, Options, time_point>) {
    return object(std::move(o), now);
  } else {
    return object(std::move(o));
  }
}

}  // namespace holdfast::detail
