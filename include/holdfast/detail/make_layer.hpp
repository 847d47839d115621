// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_MAKE_LAYER_HPP
#define HOLDFAST_DETAIL_MAKE_LAYER_HPP

#include <algorithm>
#include <holdfast/classifier.hpp>
#include <holdfast/detail/budget_use.hpp>
#include <holdfast/detail/layer_stack.hpp>
#include <holdfast/policy/adaptive_limit.hpp>
#include <holdfast/policy/breaker_family.hpp>
#include <holdfast/policy/bulkhead.hpp>
#include <holdfast/policy/chaos.hpp>
#include <holdfast/policy/cache.hpp>
#include <holdfast/policy/circuit_breaker.hpp>
#include <holdfast/policy/fallback.hpp>
#include <holdfast/policy/hedge.hpp>
#include <holdfast/policy/load_shedder.hpp>
#include <holdfast/policy/rate_limiter.hpp>
#include <holdfast/policy/retry.hpp>
#include <holdfast/policy/throttle.hpp>
#include <holdfast/policy/timeout.hpp>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

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
struct layer_of<breaker_family> {
  using type = breaker_family_layer;
};
template <>
struct layer_of<bulkhead> {
  using type = bulkhead_layer;
};
/// A layer that takes the whole stack below it as its type.
template <>
struct layer_of<hedge> {
  using type = hedge_layer<layer_stack<default_classifier>>;
};
template <>
struct layer_of<rate_limiter> {
  using type = rate_limiter_layer;
};
template <>
struct layer_of<throttle> {
  using type = throttle_layer;
};
template <>
struct layer_of<load_shedder> {
  using type = load_shedder_layer;
};
template <>
struct layer_of<chaos> {
  using type = chaos_layer;
};
template <>
struct layer_of<adaptive_limit> {
  using type = adaptive_limit_layer;
};
template <class Value>
struct layer_of<cache<Value>> {
  using type = cache_layer<Value>;
};
template <class Policy>
struct layer_of<std::shared_ptr<Policy>> : layer_of<Policy> {};

template <class P>
concept policy = requires { typename layer_of<P>::type; };

/// Whether a policy is useless unless several operations share it.
template <class P>
inline constexpr bool counts_over_operations_v = false;
template <policy P>
  requires requires { layer_of<P>::type::counts_over_operations; }
inline constexpr bool counts_over_operations_v<P> = true;

/// Whether something else holds the policy as well.
template <class P>
bool is_shared(const P& policy) {
  return policy.core().use_count() > 1;
}
template <class P>
bool is_shared(const std::shared_ptr<P>& policy) {
  return policy.use_count() != 1 || is_shared(*policy);  // null: refused elsewhere
}

/// Refuses an inner timeout that the outer one never lets expire.
void check_nested_timeouts(duration inner, duration outer);

/// Throws `invalid_options`.
[[noreturn]] void refuse_null_policy();

/// Rejects a circuit breaker that no other operation can use.
void check_shared(bool shared);

/// The rules of order that can be told from the types alone.
template <class Layer, class Classifier, class... Inner>
constexpr void check_order() {
  using inner = layer_stack<Classifier, Inner...>;
  constexpr bool inside_fallback = inner::template contains<policy_kind::fallback>;
  if constexpr (Layer::kind == policy_kind::retry) {
    static_assert(!inner::template contains<policy_kind::retry>,
                  "holdfast: two retries in one stack multiply the attempts; keep one of them.");
    static_assert(!inside_fallback,
                  "holdfast: a retry around a fallback never sees a failure, the fallback has "
                  "answered it; add .with(hf::retry{...}) before .fallback(...).");
    static_assert(!inner::template contains<policy_kind::cache>,
                  "holdfast: a retry around a cache repeats alone what all who wait for the same "
                  "answer need; add .with(hf::retry{...}) before .with(cache).");
  }
  if constexpr (Layer::kind == policy_kind::cache) {
    static_assert(!inner::template contains<policy_kind::cache>,
                  "holdfast: two caches in one stack keep every answer twice and for longer than "
                  "either is told to; keep one of them.");
    static_assert(
        !inside_fallback,
        "holdfast: a cache around a fallback keeps the fallback's answers as if they were "
        "the service's; add .with(cache) before .fallback(...).");
  }
  if constexpr (Layer::kind == policy_kind::circuit_breaker) {
    static_assert(!inner::template contains<policy_kind::cache>,
                  "holdfast: a circuit breaker around a cache counts its answers as the service's, "
                  "and when open keeps them from the caller; add .with(breaker) before "
                  ".with(cache).");
    static_assert(!inside_fallback,
                  "holdfast: a circuit breaker around a fallback never sees a failure, the "
                  "fallback has answered it; add .with(breaker) before .fallback(...).");
  }
  if constexpr (Layer::kind == policy_kind::hedge) {
    static_assert(!inner::template contains<policy_kind::hedge>,
                  "holdfast: two hedges in one stack multiply the attempts; keep one of them.");
    static_assert(!inner::template contains<policy_kind::cache>,
                  "holdfast: a hedge around a cache waits twice for the same flight; add "
                  ".with(hedge) before .with(cache).");
    static_assert(!inside_fallback,
                  "holdfast: a hedge around a fallback would run the fallback beside the call it "
                  "stands in for; add .with(hedge) before .fallback(...).");
  }
  if constexpr (Layer::kind == policy_kind::throttle) {
    static_assert(!inside_fallback,
                  "holdfast: a throttle around a fallback never sees a failure, the fallback has "
                  "answered it; add .with(throttle) before .fallback(...).");
  }
  if constexpr (Layer::kind == policy_kind::adaptive_limit) {
    static_assert(!inner::template contains<policy_kind::retry>,
                  "holdfast: an adaptive limit around a retry takes the delays for the service's "
                  "own; add .with(limit) before .with(hf::retry{...}).");
    static_assert(!inside_fallback,
                  "holdfast: an adaptive limit around a fallback measures two services as one; add "
                  ".with(limit) before .fallback(...).");
  }
}

/// Calls `f` with every timeout of the stack, those below a hedge too.
template <class Classifier, class... Layers, class F>
void for_each_timeout(const layer_stack<Classifier, Layers...>& stack, const F& f) {
  std::apply(
      [&f](const auto&... layers) {
        [[maybe_unused]] const auto visit = [&f]<class Layer>(const Layer& layer) {
          if constexpr (std::same_as<Layer, timeout_layer>) {
            f(layer);
          } else if constexpr (requires { layer.inner(); }) {
            for_each_timeout(layer.inner(), f);
          }
        };
        (visit(layers), ...);
      },
      stack.layers);
}

/// What the timeouts of the stack have seen, outermost first.
template <class Stack>
std::vector<timeout_snapshot> timeouts_of(const Stack& stack) {
  std::vector<timeout_snapshot> all;
  for_each_timeout(stack, [&all](const timeout_layer& t) { all.push_back(t.snapshot()); });
  std::ranges::reverse(all);
  return all;
}

/// Refuses a timeout that may leave calls behind together with a hedge, which waits for its losers.
void check_detach_and_hedge(bool both);

template <class Classifier, class... Inner, class Layer>
layer_stack<Classifier, Inner..., Layer> append(layer_stack<Classifier, Inner...> stack,
                                                Layer layer) {
  check_order<Layer, Classifier, Inner...>();
  if constexpr (std::same_as<Layer, timeout_layer>) {
    for_each_timeout(stack, [&layer](const timeout_layer& inner) {
      check_nested_timeouts(inner.after(), layer.after());
    });
    check_detach_and_hedge(layer.detaches() &&
                           decltype(stack)::template contains<policy_kind::hedge>);
  }
  if constexpr (std::same_as<Layer, load_shedder_layer>) {
    layer.check_place(decltype(stack)::template contains<policy_kind::bulkhead>);
  }
  report_calls_once(stack.layers, layer);
  return {std::move(stack.classifier),
          std::tuple_cat(std::move(stack.layers), std::tuple<Layer>(std::move(layer))),
          stack.idempotent};
}

/// Wraps the stack into one more policy.
template <class Classifier, class... Inner, policy P>
auto add_policy(layer_stack<Classifier, Inner...> stack, const P& p) {
  if constexpr (std::same_as<P, timeout>) {
    return append(std::move(stack),
                  timeout_layer(p, decltype(stack)::template contains<policy_kind::retry>));
  } else if constexpr (std::same_as<P, hedge>) {
    using inner = layer_stack<Classifier, Inner...>;
    check_order<hedge_layer<inner>, Classifier, Inner...>();
    for_each_timeout(stack, [](const timeout_layer& t) { check_detach_and_hedge(t.detaches()); });
    Classifier classifier = stack.classifier;
    const bool idempotent = std::exchange(stack.idempotent, true);  // the outer stack says it
    hedge_layer<inner> layer(std::move(stack), p);
    report_calls_once(layer.inner().layers, layer);
    return layer_stack<Classifier, hedge_layer<inner>>(
        std::move(classifier), std::tuple<hedge_layer<inner>>(std::move(layer)), idempotent);
  } else if constexpr (requires { p.get(); }) {
    if (!p) refuse_null_policy();
    return add_policy(std::move(stack), *p);
  } else {
    return append(std::move(stack), typename layer_of<P>::type(p));
  }
}

template <class Classifier, class... Layers, class Other>
auto replace_classifier(layer_stack<Classifier, Layers...> stack, Other other);

template <class Layer, class Other>
auto with_classifier(Layer layer, const Other&) {
  return layer;
}
template <class Inner, class Other>
auto with_classifier(hedge_layer<Inner> layer, const Other& other) {
  auto core = layer.core();
  const auto budget = layer.budget();
  auto inner = replace_classifier(std::move(layer).inner(), other);
  return hedge_layer<decltype(inner)>(std::move(inner), std::move(core), budget);
}

template <class Classifier, class... Layers, class Other>
auto replace_classifier(layer_stack<Classifier, Layers...> stack, Other other) {
  return std::apply(
      [&other, &stack](auto&&... layers) {
        auto replaced = std::make_tuple(with_classifier(std::move(layers), other)...);
        return std::apply(
            [&](auto&&... ls) {
              return layer_stack<Other, std::decay_t<decltype(ls)>...>(
                  std::move(other), std::tuple<std::decay_t<decltype(ls)>...>(std::move(ls)...),
                  stack.idempotent);
            },
            std::move(replaced));
      },
      std::move(stack.layers));
}

}  // namespace holdfast::detail

#endif
