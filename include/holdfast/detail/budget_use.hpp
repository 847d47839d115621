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
      : core_(b ? b->core().get() : nullptr), counted_(core_) {}

  /// On the way down.
  void on_call(const operation& op) const noexcept {
    if (counted_) counted_->on_call(op.now());
  }

  /// On the way up, with a good outcome.
  void on_success() const noexcept {
    if (counted_) counted_->on_success();
  }

  /// On the way up, with any other outcome, where `reserve` was not granted.
  void on_failure(verdict v) const noexcept {
    const bool bad =
        v == verdict::failure || v == verdict::throttled || v == verdict::overloaded;
    if (counted_ && bad) counted_->on_failure();
  }

  /// Takes what another call costs. Where that is refused, the operation's ledger tells so.
  bool reserve(operation& op) const { return !core_ || reserve_from(op); }

  /// Whether both draw on the same budget.
  bool shares_with(const budget_use& other) const noexcept { return core_ && core_ == other.core_; }

  /// Leaves it to a layer further in to report calls and outcomes, which count once.
  void report_no_calls() noexcept { counted_ = nullptr; }

  void describe(std::string& out) const;

  /// The most attempts for each call that the budget allows over time, of `unbounded` without it.
  double amplification(double unbounded) const;

 private:
  bool reserve_from(operation& op) const;

  retry_budget_core* core_ = nullptr;
  retry_budget_core* counted_ = nullptr;  // null where another layer reports
};

/// Lets the innermost of the layers that share a budget report to it.
template <class... Inner, class Layer>
void report_calls_once(const std::tuple<Inner...>& inner, Layer& outer) {
  if constexpr (requires { outer.budget().report_no_calls(); }) {
    const auto check = [&outer](const auto& layer) {
      if constexpr (requires { layer.budget(); }) {
        if (outer.budget().shares_with(layer.budget())) outer.budget().report_no_calls();
      }
    };
    std::apply([&check](const auto&... layers) { (check(layers), ...); }, inner);
  }
}

}  // namespace holdfast::detail

#endif
