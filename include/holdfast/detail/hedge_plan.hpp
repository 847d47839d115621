// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_HEDGE_PLAN_HPP
#define HOLDFAST_DETAIL_HEDGE_PLAN_HPP

#include <holdfast/verdict.hpp>
#include <optional>

namespace holdfast::detail {

/// Which attempts of one hedged operation run, and whose outcome is the operation's.
///
/// The first answer wins, and so does a fault of the request, which every attempt would find.
/// Where there is neither, the outcome is that of the first attempt that the service failed, or of
/// the first at all.
class hedge_plan {
 public:
  /// `limit` attempts at most, the first included.
  explicit hedge_plan(unsigned limit) noexcept : limit_(limit) {}

  bool may_start() const noexcept { return !settled_ && started_ < limit_; }

  /// Starts an attempt, and tells its number, from 0.
  unsigned start() noexcept {
    ++running_;
    return started_++;
  }

  /// An attempt has ended. True: the next one is to be started at once, in place of the failed one.
  bool end(unsigned attempt, verdict v) noexcept {
    --running_;
    if (settled_) return false;
    if (is_answer(v) || v == verdict::request_fault) {
      chosen_ = attempt;
      answered_ = is_answer(v);
      settled_ = true;
      return false;
    }
    if (!chosen_ || (!failed_ && v != verdict::neutral)) chosen_ = attempt;
    failed_ = failed_ || v != verdict::neutral;
    // One that was turned away, by the service or by a policy, is no reason to ask again at once.
    return v == verdict::failure && may_start();
  }

  /// No further attempts are started; those that run go on.
  void start_no_more() noexcept { limit_ = started_; }

  /// No further attempts are started, and what still runs has lost.
  void settle() noexcept { settled_ = true; }

  /// Whether the outcome is known, so that attempts that still run have lost.
  bool settled() const noexcept { return settled_; }

  /// Whether nothing runs any more.
  bool over() const noexcept { return running_ == 0; }

  /// The attempt whose outcome counts; none before one has ended.
  std::optional<unsigned> chosen() const noexcept { return chosen_; }
  bool answered() const noexcept { return answered_; }
  unsigned started() const noexcept { return started_; }
  unsigned running() const noexcept { return running_; }

 private:
  unsigned limit_;
  unsigned started_ = 0;
  unsigned running_ = 0;
  bool settled_ = false;
  bool answered_ = false;
  bool failed_ = false;  // `chosen_` is a failure of the service
  std::optional<unsigned> chosen_;
};

}  // namespace holdfast::detail

#endif
