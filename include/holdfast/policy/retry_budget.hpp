// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_RETRY_BUDGET_HPP
#define HOLDFAST_POLICY_RETRY_BUDGET_HPP

#include <holdfast/clock.hpp>
#include <holdfast/detail/retry_budget_core.hpp>
#include <holdfast/policy/retry_budget_options.hpp>
#include <memory>
#include <string>
#include <utility>

namespace holdfast {

/// Bounds how much work retries add to a service, over all operations that share the budget.
///
/// Retries help while few calls fail and kill a service when many do. A budget allows them in
/// proportion to the calls: by default one retry for five calls, and ten a second on top. What it
/// allows is taken at the moment at which a retry is decided, its delay included, so that any
/// number of operations that wait for their next attempt count as what they will be.
///
/// Handed to `retry::budget` and `fallback_options::budget`; one object may serve both, of any
/// number of pipelines. It then counts each operation of a pipeline as one call. A policy of one's
/// own uses the functions below.
///
/// A handle: copies share the budget, and operations keep it alive. Thread safety: safe, from any
/// thread and executor. Cost: a load and an add to a counter of the thread's own per call; a short
/// lock per wish for a retry; no allocation.
class retry_budget {
 public:
  using options = retry_budget_options;

  /// Throws `invalid_options` that lists every option out of range.
  explicit retry_budget(options o = {});

  std::string_view name() const noexcept { return core_->name(); }

  /// Reports a call, at the time at which it is made; a retry is none. Pays for `ratio` retries.
  void on_call(time_point now = clock::now()) noexcept { core_->on_call(now); }

  /// Reports how an attempt ended. Only the `tokens` mode takes notice. A failure for which
  /// `try_reserve` has been granted has been reported by that.
  void on_success() noexcept { core_->on_success(); }
  void on_failure() noexcept { core_->on_failure(); }

  /// Takes one retry out of the budget, if there is one: checked and taken in one step. What is
  /// taken is spent, whatever becomes of the retry, unless it is released.
  bool try_reserve(time_point now = clock::now()) { return core_->try_reserve(now); }

  /// Gives back what `try_reserve` took at `reserved_at`, where nothing was sent for it. Once for
  /// each reservation at most. Nothing happens if it has been forgotten meanwhile.
  void release(time_point reserved_at, time_point now = clock::now()) {
    core_->release(reserved_at, now);
  }

  /// Takes new options over, for what is decided from now on. What was paid in and drawn out stays;
  /// with a longer `ttl`, as far as it was known. The tokens that are missing stay missing; a
  /// change of the mode begins with an empty window, or with all tokens. The name stays. Throws
  /// `invalid_options`, with nothing changed.
  void reconfigure(options o, time_point now = clock::now()) {
    core_->reconfigure(std::move(o), now);
  }

  /// The options in force.
  options current_options() const { return core_->options(); }

  /// What the budget knows; the numbers are read one after another.
  retry_budget_snapshot snapshot(time_point now = clock::now()) const {
    return core_->snapshot(now);
  }

  /// Prints the budget with every option of its mode.
  std::string describe() const {
    std::string out;
    core_->describe(out);
    return out;
  }

  const std::shared_ptr<detail::retry_budget_core>& core() const noexcept { return core_; }

 private:
  std::shared_ptr<detail::retry_budget_core> core_;
};

}  // namespace holdfast

#endif
