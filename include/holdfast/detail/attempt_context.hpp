// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_ATTEMPT_CONTEXT_HPP
#define HOLDFAST_DETAIL_ATTEMPT_CONTEXT_HPP

#include <holdfast/call_context.hpp>
#include <holdfast/detail/operation.hpp>
#include <optional>
#include <string>
#include <utility>

namespace holdfast::detail {

/// The context of an attempt that runs on a chain of its own, and may outlive its operation.
class attempt_context final : public call_context {
 public:
  explicit attempt_context(const place& home) noexcept : call_context(home) {}

  cancellation_scope& scope() noexcept { return scope_; }

  /// Takes over what the attempt may know of its operation.
  void begin(operation& op, unsigned attempt);

  /// Hands what the attempt has cost to its operation, and lets go of that: the attempt has ended,
  /// or is left behind.
  void report_cost() noexcept {
    if (operation* op = std::exchange(operation_, nullptr)) op->charge(*this);
  }

  /// The operation that waits for the attempt; null if none does any more.
  operation* whole() const noexcept { return operation_; }

  /// Ends every use of the context, under the gate.
  void end() noexcept {
    slot_.reset();
    scope_.reset();
  }

 private:
  void keep_identity();

  struct kept_caller {
    std::string tenant;
    call_options options;
  };
  operation* operation_ = nullptr;  // null once the operation has gone on without the attempt
  std::optional<tag_set> kept_tags_;
  std::optional<kept_caller> kept_caller_;
};

}  // namespace holdfast::detail

#endif
