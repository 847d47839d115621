// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_MAKE_LAYER_HPP
#define HOLDFAST_DETAIL_MAKE_LAYER_HPP

#include <holdfast/detail/layer_stack.hpp>
#include <holdfast/policy/bulkhead.hpp>
#include <holdfast/policy/cache.hpp>
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
template <class Value>
struct layer_of<cache<Value>> {
  using type = cache_layer<Value>;
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
    static_assert(!has_kind_v<policy_kind::cache, Inner...>,
                  "holdfast: a retry around a cache repeats alone what all who wait for the same "
                  "answer need; add .with(hf::retry{...}) before .with(cache).");
  }
  if constexpr (Layer::kind == policy_kind::cache) {
    static_assert(!has_kind_v<policy_kind::cache, Inner...>,
                  "holdfast: two caches in one stack keep every answer twice and for longer than "
                  "either is told to; keep one of them.");
    static_assert(!inside_fallback,
                  "holdfast: a cache around a fallback keeps the fallback's answers as if they were "
                  "the service's; add .with(cache) before .fallback(...).");
  }
  if constexpr (Layer::kind == policy_kind::circuit_breaker) {
    static_assert(!has_kind_v<policy_kind::cache, Inner...>,
                  "holdfast: a circuit breaker around a cache counts its answers as the service's, "
                  "and when open keeps them from the caller; add .with(breaker) before "
                  ".with(cache).");
    static_assert(!inside_fallback,
                  "holdfast: a circuit breaker around a fallback never sees a failure, the "
                  "fallback has answered it; add .with(breaker) before .fallback(...).");
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
