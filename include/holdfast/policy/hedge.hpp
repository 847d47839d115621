// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_HEDGE_HPP
#define HOLDFAST_POLICY_HEDGE_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/detail/budget_use.hpp>
#include <holdfast/detail/layer.hpp>
#include <holdfast/policy/retry_budget.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace holdfast {

struct hedge_options {
  /// Appears in `describe()`. May be empty.
  std::string name = {};

  /// How long an attempt may take before another one is started beside it; with `percentile`, the
  /// delay until enough latencies are known. At least zero; zero: all attempts start together.
  duration delay = std::chrono::seconds(1);

  /// Takes the delay from the live latencies instead: the time within which this share of recent
  /// attempts was answered. From 0 to below 1; zero: the delay is fixed. 0.95 adds about 5 % of
  /// calls.
  double percentile = 0.0;

  /// The percentile is taken over this time. More than zero.
  duration window = std::chrono::seconds(60);

  /// The percentile is not trusted below this many latencies. At least 1.
  unsigned minimum_samples = 100;

  /// The shortest delay that a percentile may give. At least zero.
  duration minimum_delay = std::chrono::milliseconds(1);

  /// How many attempts may be started beside the first. 1 to 4.
  unsigned max_hedges = 1;

  /// Hedges calls that are not idempotent (`call_options::idempotent`) as well.
  bool hedge_non_idempotent = false;

  /// Every attempt beside the first is taken out of it, when it is started; where it is spent, the
  /// attempts that run go on alone. The object that retries use may serve here too. Empty: none.
  /// Not changed by `reconfigure`.
  std::optional<retry_budget> budget = std::nullopt;
};

struct hedge_snapshot {
  std::uint64_t operations;    ///< Operations that came through.
  std::uint64_t hedges;        ///< Attempts started beside or after a first one.
  std::uint64_t hedges_won;    ///< Operations that such an attempt answered.
  std::uint64_t suppressed;    ///< Attempts that the budget did not allow.
  duration delay;              ///< The delay that the next operation gets.
};

namespace detail {
class hedge_core;
}

/// Starts a second attempt where the first is slow, and takes the first good answer.
///
/// What is below it in the stack runs once, and once more beside that for each `delay` that passes
/// without an answer, `max_hedges` times at most. An attempt that fails is followed by the next at
/// once; one that the service throttled or a policy refused is not. The first answer wins; the
/// attempts that lost are cancelled and waited for, so nothing is left running. Where none answers,
/// the operation ends with the first failure of the service. Calls that are not idempotent get one
/// attempt. (Dean and Barroso, The Tail at Scale, 2013; gRFC A6.)
///
/// Attempts of one operation never run at the same time on two threads: they share the executor if
/// it is serial, and get a strand of their own otherwise. The call is called once per attempt, also
/// while an earlier one is suspended.
///
/// A handle: copies share the latencies and the counters. Thread safety: safe, from any thread and
/// executor. Cost: the hand-over to a reused coroutine chain and a timer per call; no allocation in
/// steady state on a serial `io_context`, where no policy is below it.
class hedge {
 public:
  using options = hedge_options;

  /// Throws `invalid_options` that lists every option out of range.
  explicit hedge(options o = {});

  std::string_view name() const noexcept;

  /// The budget that it draws on, if there is one.
  const std::optional<retry_budget>& budget() const noexcept;

  /// What the hedge has seen so far.
  hedge_snapshot snapshot(time_point now = clock::now()) const;

  /// Puts new options in place of the old, for operations that start from now on. Latencies and
  /// counters stay, unless the window changes; so do the name and the budget. Throws
  /// `invalid_options`, and then changes nothing.
  void reconfigure(options o);

  const std::shared_ptr<detail::hedge_core>& core() const noexcept { return core_; }

 private:
  std::shared_ptr<detail::hedge_core> core_;
};

namespace detail {

void describe_hedge(const hedge_core& core, std::string& out);
double hedge_amplification(const hedge_core& core);

/// The place of a hedge in a stack: innermost, with all that was below it inside.
template <class Inner>
class hedge_layer {
 public:
  static constexpr policy_kind kind = policy_kind::hedge;
  static constexpr bool timeless = true;
  using inner_stack = Inner;
  struct frame {
    bool counted = false;  // a retry around it comes again
  };

  hedge_layer(Inner inner, const hedge& h)
      : inner_(std::move(inner)), core_(h.core()), budget_(h.budget()) {}
  hedge_layer(Inner inner, std::shared_ptr<hedge_core> core, budget_use budget)
      : inner_(std::move(inner)), core_(std::move(core)), budget_(budget) {}

  step enter(frame& f, operation& op) const noexcept {
    if (!std::exchange(f.counted, true)) budget_.on_call(op);
    return step::go;
  }
  step leave(frame&, operation& op, verdict v) const noexcept {
    if (is_answer(v)) {
      budget_.on_success();
    } else {
      budget_.on_failure(op.of_service(v));
    }
    return step::go;
  }

  const Inner& inner() const& noexcept { return inner_; }
  Inner& inner() & noexcept { return inner_; }
  Inner&& inner() && noexcept { return std::move(inner_); }
  const std::shared_ptr<hedge_core>& core() const noexcept { return core_; }
  budget_use& budget() noexcept { return budget_; }
  const budget_use& budget() const noexcept { return budget_; }

  void describe(std::string& out) const;
  double amplification() const {
    return budget_.amplification(hedge_amplification(*core_)) * inner_.amplification();
  }

 private:
  Inner inner_;
  std::shared_ptr<hedge_core> core_;
  budget_use budget_;
};

template <class Inner>
void hedge_layer<Inner>::describe(std::string& out) const {
  describe_hedge(*core_, out);
  if constexpr (Inner::size > 0) {
    out += '\n';
    out += inner_.describe_layers();
    out.pop_back();  // the line's end is the outer stack's
  }
}

}  // namespace detail
}  // namespace holdfast

#endif
