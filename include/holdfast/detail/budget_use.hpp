// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_BUDGET_USE_HPP
#define HOLDFAST_DETAIL_BUDGET_USE_HPP

#include <holdfast/detail/operation.hpp>
#include <holdfast/policy/retry_budget.hpp>
#include <optional>
#include <tuple>

namespace holdfast::detail {

/// What a layer does with its budget, if it has one. The layer keeps the handle.
class budget_use {
 public:
  budget_use() = default;
  explicit budget_use(const std::optional<retry_budget>& b)
      : core_(b ? b->core().get() : nullptr), calls_(core_), outcomes_(core_) {}

  /// On the way down, the first time that an operation comes. What a hedge runs once more has been
  /// counted.
  void on_call(const operation& op) const noexcept {
    if (calls_ && !op.repeats()) calls_->on_call(op.now());
  }

  /// On the way up, with a good outcome.
  void on_success() const noexcept {
    if (outcomes_) outcomes_->on_success();
  }

  /// On the way up, with any other outcome, where `reserve` was not granted.
  void on_failure(verdict v) const noexcept {
    const bool bad =
        v == verdict::failure || v == verdict::throttled || v == verdict::overloaded;
    if (outcomes_ && bad) outcomes_->on_failure();
  }

  /// Takes what another call costs. Where that is refused, the operation's ledger tells so.
  bool reserve(operation& op) const { return !core_ || reserve_from(op); }

  /// Whether both draw on the same budget.
  bool shares_with(const budget_use& other) const noexcept { return core_ && core_ == other.core_; }

  /// Leaves it to a layer further in to report calls and outcomes, which count once.
  void report_nothing() noexcept { calls_ = outcomes_ = nullptr; }

  /// Leaves it to the layers that a link is an alternative to to report the operation.
  void report_no_calls() noexcept { calls_ = nullptr; }

  void describe(std::string& out) const;

  /// The most attempts for each call that the budget allows over time, of `unbounded` without it.
  double amplification(double unbounded) const;

 private:
  bool reserve_from(operation& op) const;

  retry_budget_core* core_ = nullptr;
  retry_budget_core* calls_ = nullptr;     // null if another layer reports them
  retry_budget_core* outcomes_ = nullptr;  // the same
};

/// Whether one of the layers draws on the budget, those below a hedge included.
template <class... Layers>
bool draws_on(const std::tuple<Layers...>& layers, const budget_use& budget) {
  const auto draws = [&budget](const auto& layer) {
    bool found = false;
    if constexpr (requires { layer.budget(); }) found = budget.shares_with(layer.budget());
    if constexpr (requires { layer.inner().layers; }) {
      found = found || draws_on(layer.inner().layers, budget);
    }
    return found;
  };
  return std::apply([&draws](const auto&... l) { return (draws(l) || ...); }, layers);
}

/// Calls `f` with every budget that the layers draw on, those below a hedge included.
template <class... Layers, class F>
void for_each_budget(std::tuple<Layers...>& layers, const F& f) {
  const auto visit = [&f](auto& layer) {
    if constexpr (requires { layer.budget(); }) f(layer.budget());
    if constexpr (requires { layer.inner().layers; }) for_each_budget(layer.inner().layers, f);
  };
  std::apply([&visit](auto&... l) { (visit(l), ...); }, layers);
}

/// Lets the innermost of the layers that share a budget report to it, and none of a link's.
template <class... Inner, class Layer>
void report_calls_once(const std::tuple<Inner...>& inner, Layer& outer) {
  if constexpr (requires { outer.budget().report_nothing(); }) {
    if (draws_on(inner, outer.budget())) outer.budget().report_nothing();
  }
  if constexpr (requires { outer.link().stack().layers; }) {
    for_each_budget(outer.link().stack().layers, [&](budget_use& links) {
      if (links.shares_with(outer.budget()) || draws_on(inner, links)) links.report_no_calls();
    });
  }
}

}  // namespace holdfast::detail

#endif
