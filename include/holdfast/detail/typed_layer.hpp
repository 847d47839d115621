// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_TYPED_LAYER_HPP
#define HOLDFAST_DETAIL_TYPED_LAYER_HPP

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/system_executor.hpp>
#include <concepts>
#include <cstddef>
#include <exception>
#include <holdfast/call_options.hpp>
#include <holdfast/detail/call_traits.hpp>
#include <holdfast/detail/inheritance.hpp>
#include <holdfast/detail/layer_stack.hpp>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

/// \file
/// What the engine does for layers that see the result. A stack without one pays nothing. Such a
/// layer has `static constexpr bool typed = true` and, besides what every layer has, `settle`, and the
/// others if it needs them:
///
///   template <class T>                                 after `step::answer` on the way down: sets
///   verdict answer(frame&, operation&,                 the outcome
///                  std::optional<result<T>>&) const;
///   template <class T>                                 after `step::answer` on the way up: keeps
///   verdict settle(frame&, operation&,                 the outcome, or replaces it
///                  std::optional<result<T>>&, verdict) const;
///   bool frame::refreshes() const;                     after `step::answer` on the way down: the
///                                                      layers below are to be run once more, in
///                                                      the background
///   auto refresher(frame&) const;                      the layer that stands in its place there
///   duration refresh_timeout() const;

namespace holdfast::detail {

template <class T, class Stack, class Call>
asio::awaitable<result<T>> run_operation(Stack stack, Call call,
                                         call_options options);

/// Whether a layer may ask for the layers below it to be run once more, in the background.
template <class Layer>
concept refreshing_layer = requires(const Layer& layer, typename Layer::frame& frame) {
  layer.refresher(frame);
};

/// A callable that refers to something that ends with the operation.
template <class>
inline constexpr bool borrows_v = false;

/// Whether a call can be made in the background, beyond its operation.
template <class Stack, class Call>
inline constexpr bool detachable_v = false;
template <class Classifier, class... Layers, class Call>
inline constexpr bool detachable_v<layer_stack<Classifier, Layers...>, Call> =
    std::copy_constructible<Call> && !borrows_v<Call> && std::copy_constructible<Classifier> &&
    [] {
      bool copyable = true;
      bool inside = true;
      ((copyable = copyable && (!inside || std::copy_constructible<Layers>),
        inside = inside && !refreshing_layer<Layers>),
       ...);
      return copyable && !inside;
    }();

/// Applies `function(layer, frame, index)` to the typed layer `at`.
template <class Stack, class Function>
void with_typed(const Stack& stack, typename Stack::frames& frames, std::size_t at,
                Function&& function) {
  Stack::visit(at, [&]<std::size_t I>(std::integral_constant<std::size_t, I> index) {
    if constexpr (is_typed_v<typename Stack::template layer<I>>) {
      function(std::get<I>(stack.layers), std::get<I>(frames), index);
    }
    return step::go;
  });
}

/// The layers inside the layer `I`, and one more.
template <std::size_t I, class Stack, class Outermost>
auto inner_stack(const Stack& stack, Outermost outermost) {
  return [&]<std::size_t... Is>(std::index_sequence<Is...>) {
    using inner = layer_stack<typename Stack::classifier_type,
                              typename Stack::template layer<Is>..., Outermost>;
    return inner(stack.classifier,
                 std::tuple<typename Stack::template layer<Is>..., Outermost>(
                     std::get<Is>(stack.layers)..., std::move(outermost)));
  }(std::make_index_sequence<I>());
}

/// Runs the call once more, for the operation that began it, which goes on meanwhile.
template <class T, class Stack, class Call>
asio::awaitable<void> run_in_background(Stack stack, Call call, time_service& time,
                                        duration allowed, kept_options options) {
  // Its time begins here: the executor may have had other things to do.
  const time_point deadline = saturating_add(time.precise_now(), allowed);
  static_cast<void>(co_await run_operation<T>(static_cast<const Stack*>(&stack), std::move(call),
                                              options.get(deadline)));
}

/// Starts that, from the layer `at` inwards.
template <class T, class Stack, class Call>
[[gnu::noinline]] void start_refresh(const Stack& stack, typename Stack::frames& frames,
                                     std::size_t at, const operation& op, const Call& call,
                                     const asio::any_io_executor& executor) noexcept {
  if constexpr (detachable_v<Stack, Call>) {
    with_typed(stack, frames, at, [&]<class Layer>(const Layer& layer, auto& frame, auto index) {
      if constexpr (refreshing_layer<Layer>) try {
        auto inner = inner_stack<decltype(index)::value>(stack, layer.refresher(frame));
        // Its end concerns nobody: the handler runs where that is, and Asio needs no memory for it.
        asio::co_spawn(
            executor,
            run_in_background<T>(
                std::move(inner), Call(call),
                op.time(), layer.refresh_timeout(), kept_options(op)),
            asio::bind_executor(asio::system_executor(), asio::detached));
      } catch (...) {
        // The answer at hand is as good as before; whoever asks next begins again.
      }
    });
  }
}

template <class Stack>
bool refreshes(const Stack& stack, typename Stack::frames& frames, std::size_t at) {
  bool wanted = false;
  with_typed(stack, frames, at,
             [&]<class Layer>(const Layer&, auto& frame, auto) {
               if constexpr (refreshing_layer<Layer>) wanted = frame.refreshes();
             });
  return wanted;
}

/// The layer `at` has the answer.
template <class T, class Stack>
[[gnu::noinline]] verdict answer_at(const Stack& stack, typename Stack::frames& frames,
                                    std::size_t at, operation& op,
                                    std::optional<result<T>>& outcome) {
  verdict v = verdict::neutral;
  with_typed(stack, frames, at, [&](const auto& layer, auto& frame, auto) {
    if constexpr (requires { layer.template answer<T>(frame, op, outcome); }) try {
      v = layer.template answer<T>(frame, op, outcome);
    } catch (...) {  // out of the copy of the value
      outcome.emplace(failed<T>(failure(std::current_exception())));
      op.error = &outcome->assume_error();
    }
  });
  return v;
}

/// The layer `at` sees the outcome.
template <class T, class Stack>
[[gnu::noinline]] verdict settle_at(const Stack& stack, typename Stack::frames& frames,
                                    std::size_t at, operation& op,
                                    std::optional<result<T>>& outcome, verdict v) {
  with_typed(stack, frames, at, [&](const auto& layer, auto& frame, auto) {
    try {
      v = layer.template settle<T>(frame, op, outcome, v);
    } catch (...) {
      outcome.emplace(failed<T>(failure(std::current_exception())));
      op.error = &outcome->assume_error();
      v = verdict::neutral;
    }
  });
  return v;
}

}  // namespace holdfast::detail

#endif
