// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_LAYER_STACK_HPP
#define HOLDFAST_DETAIL_LAYER_STACK_HPP

#include <cstddef>
#include <cstdint>
#include <holdfast/detail/layer.hpp>
#include <holdfast/detail/sync.hpp>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace holdfast::detail {

/// Whether calls that go well need the time for it.
template <class Layer>
inline constexpr bool reads_time_v = true;
template <class Layer>
  requires requires { Layer::timeless; }
inline constexpr bool reads_time_v<Layer> = !Layer::timeless;

template <policy_kind Kind, class... Layers>
inline constexpr bool has_kind_v = ((Layers::kind == Kind) || ...);

/// The same, with the layers inside of others.
template <policy_kind Kind, class Layer>
inline constexpr bool contains_kind_in_v = Layer::kind == Kind;
template <policy_kind Kind, class Layer>
  requires requires { typename Layer::inner_stack; }
inline constexpr bool contains_kind_in_v<Kind, Layer> =
    Layer::kind == Kind || Layer::inner_stack::template contains<Kind>;

template <class Layer>
double amplification_of(const Layer& layer) {
  if constexpr (requires { layer.amplification(); }) {
    return layer.amplification();
  } else {
    return 1.0;
  }
}

/// Names a layer by its place: in a stack, and that in an operation or another stack.
template <class Place, std::size_t I>
struct layer_at;

/// Counts for all temporaries whose layers have that place.
template <class Place>
inline constinit sync::atomic<unsigned> shared_bound{0};

template <class Place, class Layer>
void share_bounds_of(Layer& layer) noexcept {
  if constexpr (requires { layer.share_bound(shared_bound<Place>); }) {
    layer.share_bound(shared_bound<Place>);
  } else if constexpr (requires { layer.link().stack().template share_bounds<Place>(); }) {
    layer.link().stack().template share_bounds<Place>();
  }
}

/// Prints a share below 1 as a line; nothing otherwise.
void describe_safe_utilisation(std::string& out, double share);

/// In a byte: the engine's frame holds one.
using layer_index = std::uint8_t;

/// The layers of a pipeline, innermost first, and the walk down and up them.
template <class Classifier, class... Layers>
class layer_stack {
 public:
  static constexpr std::size_t size = sizeof...(Layers);
  static_assert(size < 255, "holdfast: a pipeline has at most 254 policies.");
  using classifier_type = Classifier;
  template <policy_kind Kind>
  static constexpr bool has = has_kind_v<Kind, Layers...>;
  template <policy_kind Kind>
  static constexpr bool contains = (contains_kind_in_v<Kind, Layers> || ...);

  /// A hedge is the innermost layer, with everything that was below it inside.
  static constexpr bool hedged = has<policy_kind::hedge>;
  using innermost = std::tuple_element_t<0, std::tuple<Layers..., void>>;
  static constexpr bool reads_time = (reads_time_v<Layers> || ...);

  static constexpr bool typed = (is_typed_v<Layers> || ...);
  template <std::size_t I>
  using layer = std::tuple_element_t<I, std::tuple<Layers...>>;

  /// What the layers keep for one operation.
  using frames = std::tuple<typename Layers::frame...>;

  layer_stack(Classifier c, std::tuple<Layers...> l, bool may_be_repeated = true)
      : classifier(std::move(c)), layers(std::move(l)), idempotent(may_be_repeated) {}

  /// Enters the `at` innermost layers, outermost of them first. On a stop `at` is the layer that
  /// did not let the operation pass; on `step::go` the call is next, and `at` is 0.
  step enter(frames& f, operation& op, layer_index& at) const {
    if (at == size) [[likely]] return enter_from<size>(f, op, at);
    return visit(at, [&]<std::size_t I>(index<I>) { return enter_from<I>(f, op, at); });
  }

  /// Tells the layer `at` how its wait ended, and goes on down from there.
  step resumed(frames& f, operation& op, layer_index& at, wait_end end) const {
    return visit(at, [&]<std::size_t I>(index<I>) {
      if constexpr (requires { std::get<I>(layers).resumed(std::get<I>(f), op, end); }) {
        const step s = std::get<I>(layers).resumed(std::get<I>(f), op, end);
        return s == step::go ? enter_from<I>(f, op, at) : s;
      } else {
        return step::refuse;
      }
    });
  }

  /// What the attempt ends with that the layer `at` makes fail.
  failure fault(frames& f, layer_index at) const {
    failure made;
    visit(at, [&]<std::size_t I>(index<I>) {
      if constexpr (requires { std::get<I>(layers).fault(std::get<I>(f)); }) {
        made = std::get<I>(layers).fault(std::get<I>(f));
      }
      return step::fault;
    });
    return made;
  }

  /// Leaves the layers from `at` outwards. On a stop `at` is the layer that asks for more.
  step leave(frames& f, operation& op, verdict v, layer_index& at) const {
    if (at == 0) [[likely]] return leave_from<0>(f, op, v, at);
    return visit(at, [&]<std::size_t I>(index<I>) { return leave_from<I>(f, op, v, at); });
  }

  /// Applies `function` to the layer at a run-time index; `step::go` past the last.
  template <class Function>
  static step visit(std::size_t at, Function&& function) {
    return visit_from(at, function, std::make_index_sequence<size>());
  }
  template <std::size_t I>
  using index = std::integral_constant<std::size_t, I>;

  /// The most attempts that the layers make of one operation, over time.
  double amplification() const {
    return std::apply([](const auto&... l) { return (1.0 * ... * amplification_of(l)); }, layers);
  }
  double safe_utilisation() const { return 1.0 / amplification(); }

  std::string describe(std::string_view call = {}) const {
    std::string out = describe_layers();
    out += call;
    if (!idempotent) out += "not idempotent: repeated only if nothing has been sent\n";
    describe_safe_utilisation(out, safe_utilisation());
    return out;
  }
  std::string describe_layers() const {
    std::string out;
    describe_from(out, std::make_index_sequence<size>());
    return out;
  }

  /// Makes the layers of a temporary share their bounds across operations with all temporaries of the
  /// same place. Bounds of its own would end with its one operation.
  template <class Place>
  void share_bounds() noexcept {
    [this]<std::size_t... I>(std::index_sequence<I...>) {
      (share_bounds_of<layer_at<Place, I>>(std::get<I>(layers)), ...);
    }(std::make_index_sequence<size>());
  }

  [[no_unique_address]] Classifier classifier;
  std::tuple<Layers...> layers;
  /// Whether the calls may be made again after they may have reached the service.
  bool idempotent;

 private:
  template <std::size_t N>
  [[gnu::always_inline]] step enter_from([[maybe_unused]] frames& f, [[maybe_unused]] operation& op,
                  layer_index& at) const {
    if constexpr (N == 0) {
      at = 0;
      return step::go;
    } else {
      const step s = std::get<N - 1>(layers).enter(std::get<N - 1>(f), op);
      if (s != step::go) [[unlikely]] {
        at = N - 1;
        return s;
      }
      return enter_from<N - 1>(f, op, at);
    }
  }

  template <std::size_t I>
  [[gnu::always_inline]] step leave_from([[maybe_unused]] frames& f, [[maybe_unused]] operation& op,
                  [[maybe_unused]] verdict v, layer_index& at) const {
    if constexpr (I == size) {
      at = size;
      return step::go;
    } else {
      const step s = std::get<I>(layers).leave(std::get<I>(f), op, v);
      if (s != step::go) [[unlikely]] {
        at = I;
        return s;
      }
      // A refused retry says nothing of the service; the outcome that stays, of an attempt before,
      // does so for everybody who sees the attempts as one.
      if constexpr (std::tuple_element_t<I, std::tuple<Layers...>>::kind == policy_kind::retry) {
        if (op.kept_verdict) [[unlikely]] v = *op.kept_verdict;
      }
      return leave_from<I + 1>(f, op, v, at);
    }
  }

  template <class Function, std::size_t... Is>
  static step visit_from([[maybe_unused]] std::size_t at, [[maybe_unused]] Function& function,
                         std::index_sequence<Is...>) {
    step s = step::go;
    static_cast<void>(((at == Is && (s = function(index<Is>()), true)) || ...));
    return s;
  }

  template <std::size_t... Is>
  void describe_from([[maybe_unused]] std::string& out, std::index_sequence<Is...>) const {
    ((std::get<size - 1 - Is>(layers).describe(out), out += '\n'), ...);
  }
};

}  // namespace holdfast::detail

#endif
