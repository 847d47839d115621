// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_MAKE_LAYER_HPP
#define HOLDFAST_DETAIL_MAKE_LAYER_HPP

#include <holdfast/detail/layer_stack.hpp>
#include <holdfast/policy/adaptive_limit.hpp>
#include <holdfast/policy/bulkhead.hpp>
#include <holdfast/policy/chaos.hpp>
#include <holdfast/policy/circuit_breaker.hpp>
#include <holdfast/policy/fallback.hpp>
#include <holdfast/policy/retry.hpp>
#include <holdfast/policy/timeout.hpp>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

namespace holdfast::detail {

template <class Policy>
struct layer_of;
template <>
struct layer_of<timeout> {
  using type = timeout_layer;
};
template <>
struct layer_of<retry> {
  using type = retry_layer;
};
template <>
struct layer_of<circuit_breaker> {
  using type = breaker_layer;
};
template <>
struct layer_of<bulkhead> {
  using type = bulkhead_layer;
};
template <>
struct layer_of<chaos> {
  using type = chaos_layer;
};
template <>
struct layer_of<adaptive_limit> {
  using type = adaptive_limit_layer;
};
template <class Policy>
struct layer_of<std::shared_ptr<Policy>> : layer_of<Policy> {};

template <class P>
concept policy = requires { typename layer_of<P>::type; };

/// Refuses an inner timeout that the outer one never lets expire.
void check_nested_timeouts(duration inner, duration outer);

/// The rules of order that can be told from the types alone.
template <class Layer, class Classifier, class... Inner>
constexpr void check_order() {
  constexpr bool inside_fallback = has_kind_v<policy_kind::fallback, Inner...>;
  if constexpr (Layer::kind == policy_kind::retry) {
    static_assert(!has_kind_v<policy_kind::retry, Inner...>,
                  "holdfast: two retries in one stack multiply the attempts; keep one of them.");
    static_assert(!inside_fallback,
                  "holdfast: a retry around a fallback never sees a failure, the fallback has "
                  "answered it; add .with(hf::retry{...}) before .fallback(...).");
  }
  if constexpr (Layer::kind == policy_kind::circuit_breaker) {
    static_assert(!inside_fallback,
                  "holdfast: a circuit breaker around a fallback never sees a failure, the "
                  "fallback has answered it; add .with(breaker) before .fallback(...).");
  }
  if constexpr (Layer::kind == policy_kind::adaptive_limit) {
    static_assert(!has_kind_v<policy_kind::retry, Inner...>,
                  "holdfast: an adaptive limit around a retry takes the delays for the service's "
                  "own; add .with(limit) before .with(hf::retry{...}).");
    static_assert(!inside_fallback,
                  "holdfast: an adaptive limit around a fallback measures two services as one; add "
                  ".with(limit) before .fallback(...).");
  }
}

template <class Classifier, class... Inner, class Layer>
layer_stack<Classifier, Inner..., Layer> append(layer_stack<Classifier, Inner...> stack,
                                                Layer layer) {
  check_order<Layer, Classifier, Inner...>();
  if constexpr (std::same_as<Layer, timeout_layer>) {
    std::apply(
        [&layer](const auto&... inner) {
          [[maybe_unused]] const auto check = [&layer](const auto& other) {
            if constexpr (std::same_as<std::remove_cvref_t<decltype(other)>, timeout_layer>) {
              check_nested_timeouts(other.after(), layer.after());
            }
          };
          (check(inner), ...);
        },
        stack.layers);
  }
  return {std::move(stack.classifier),
          std::tuple_cat(std::move(stack.layers), std::tuple<Layer>(std::move(layer)))};
}

/// Wraps the stack into one more policy.
template <class Classifier, class... Inner, policy P>
auto add_policy(layer_stack<Classifier, Inner...> stack, const P& p) {
  if constexpr (std::same_as<P, timeout>) {
    return append(std::move(stack),
                  timeout_layer(p, has_kind_v<policy_kind::retry, Inner...>));
  } else if constexpr (requires { p.get(); }) {
    return add_policy(std::move(stack), *p);
  } else {
    return append(std::move(stack), typename layer_of<P>::type(p));
  }
}

template <class Classifier, class... Layers, class Other>
layer_stack<Other, Layers...> replace_classifier(layer_stack<Classifier, Layers...> stack,
                                                 Other other) {
  return {std::move(other), std::move(stack.layers)};
}

}  // namespace holdfast::detail

#endif
