// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_HEDGE_RACE_HPP
#define HOLDFAST_DETAIL_HEDGE_RACE_HPP

#include <array>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <exception>
#include <holdfast/detail/attempt.hpp>
#include <holdfast/detail/deadline_alarm.hpp>
#include <holdfast/detail/hedge_core.hpp>
#include <holdfast/detail/hedge_plan.hpp>
#include <holdfast/detail/judge.hpp>
#include <holdfast/detail/resumption.hpp>
#include <memory>
#include <utility>

namespace holdfast::detail {

/// The race between the attempts of one hedged operation, without their type.
///
/// Everything happens on one serial executor: the operation's, or a strand of the race's own. The
/// running attempts own the race, and the race owns the suspended operation: where the attempts are
/// destroyed instead of ended, the operation goes with them.
class race_base : public std::enable_shared_from_this<race_base>, private deadline_alarm {
 public:
  static constexpr unsigned max_attempts = 5;

  /// `counts`: whether the race counts its attempts, and writes them to the ledger.
  race_base(operation& op, hedge_core& core, bool counts);
  race_base(const race_base&) = delete;
  virtual ~race_base();

  /// Starts the first attempt. `waiter` resumes the operation; it is taken, unless this throws.
  void begin(resumption& waiter);

 protected:
  /// Called when an attempt's outcome has arrived; then held no more by that attempt.
  class attempt_waiter {
   public:
    using executor_type = asio::any_io_executor;

    attempt_waiter(std::shared_ptr<race_base> race, unsigned attempt) noexcept
        : race_(std::move(race)), attempt_(attempt) {}
    executor_type get_executor() const noexcept { return race_->executor_; }
    void operator()() {
      const auto race = std::move(race_);
      race->ended(attempt_, true);
    }

   private:
    std::shared_ptr<race_base> race_;
    unsigned attempt_;
  };

  /// Where the attempts run.
  const place& home() const noexcept { return home_; }
  attempt_waiter waiter_for(unsigned attempt) { return {shared_from_this(), attempt}; }

  /// Starts the attempt; may throw.
  virtual void launch(unsigned attempt) = 0;
  virtual void stop(unsigned attempt) = 0;
  /// Makes the attempt's outcome of what it left, or of `thrown`, and judges it.
  virtual verdict conclude_attempt(unsigned attempt, std::exception_ptr thrown) = 0;
  /// The code of a failed attempt; none for an answer.
  virtual boost::system::error_code code_of(unsigned attempt) const = 0;
  /// Hands the outcome over to the operation.
  virtual void deliver(unsigned attempt) noexcept = 0;

  /// The attempt's number in the operation.
  unsigned number_of(unsigned attempt) const noexcept { return numbers_[attempt]; }

  operation& op_;
  time_service& time_;

 private:
  bool hedging() const noexcept;
  void start();
  void cancel();
  void start_next();
  bool start_hedge();
  void ended(unsigned attempt, bool may_resume_inline, std::exception_ptr thrown = {});
  void stop_losers();
  void record(unsigned attempt, verdict v);
  void finish(bool may_resume_inline);
  void arm();
  bool claim_ring() noexcept override;
  const place& place_of_alarm() const noexcept override { return home_; }
  void ring() noexcept override;
  void cancel_for_caller();
  void forget_caller() noexcept;

  hedge_core& core_;
  const std::shared_ptr<hedge_core::rules> rules_;
  const bool own_strand_;
  asio::any_io_executor executor_;
  place home_;
  hedge_plan plan_;
  duration delay_{};
  std::array<time_point, max_attempts> started_{};
  std::array<unsigned, max_attempts> numbers_{};
  std::array<bool, max_attempts> running_{};
  resumption waiter_;
  post_memory cancel_memory_;  // for the caller's cancellation, where it has to be posted
  struct listener : scope_listener {
    listener(race_base& r, teller t) noexcept : scope_listener(t), race(r) {}
    race_base& race;
  } caller_;                            // hears the operation's scope
  std::shared_ptr<race_base> ringing_;  // while the alarm is
  const bool counts_;
  bool cancelled_ = false;
  bool finished_ = false;
};

/// Runs the policies that are below a hedge around the call, as an operation of its own.
template <class T, class Stack, class Call>
struct nested_attempt {
  const Stack* stack;
  Call* call;
  const operation* op;
  operation_role role;
  asio::awaitable<result<T>> operator()(call_context& context) const {
    return run_operation<T>(stack, call_reference<Call>{call},
                            options_for_part(*op, role, context));
  }
};

/// Where the race leaves its outcome, in the operation's frame.
template <class T>
struct race_result {
  outcome_slot<T> outcome;
  cancel_reason cancelled = cancel_reason::none;
};

template <class T, class Stack, class Classifier, class Call>
class race final : public race_base {
 public:
  /// Without policies below the hedge the call itself is the attempt.
  static constexpr bool direct = Stack::size == 0;
  using attempt_call = std::conditional_t<direct, Call, nested_attempt<T, Stack, Call>>;
  using value_type = attempt_value_t<attempt_call>;

  race(operation& op, hedge_core& core, const Stack& stack, const Classifier& classifier, Call& call,
       race_result<T>& result)
      : race_base(op, core, direct),  // operations below the hedge count for themselves
        stack_(stack),
        classifier_(classifier),
        call_(call),
        result_(result) {}

 private:
  struct entry {
    attempt_sink<value_type> sink;
    outcome_slot<T> outcome;
  };

  void launch(unsigned attempt) override {
    entry& e = entries_[attempt];
    auto& chain = runner_pool<value_type>::acquire(home());
    try {
      chain.prepare([&](attempt_context& context) {
        context.begin(op_, number_of(attempt));
        if constexpr (direct) {
          return attempt_of(call_, context);
        } else {
          return nested_attempt<T, Stack, Call>{
              &stack_, &call_, &op_,
              attempt == 0 ? operation_role::hedge_attempt
                           : operation_role::further_hedge_attempt}(context);
        }
      });
      resumption waiter;
      waiter.store(waiter_for(attempt));
      // The operations below the hedge keep the deadline themselves.
      chain.start(e.sink, direct ? op_.limit : deadline_scope(), waiter, nullptr);
    } catch (...) {
      chain.withdraw();
      throw;
    }
  }

  void stop(unsigned attempt) override {
    if (auto* const chain = entries_[attempt].sink.chain) {
      chain->context.scope().ring(cancel_reason::caller, asio::cancellation_type::all);
    }
  }

  verdict conclude_attempt(unsigned attempt, std::exception_ptr thrown) override {
    entry& e = entries_[attempt];
    if (thrown) e.sink.exception = std::move(thrown);
    if (e.sink.exception) {
      fail(e.outcome, failure(std::move(e.sink.exception)));
    } else if constexpr (std::is_void_v<value_type>) {
      conclude<T, attempt_call>(e.outcome);
    } else {
      try {
        conclude<T, attempt_call>(e.outcome, std::move(*e.sink.value));
      } catch (...) {  // out of the value's move
        fail_with_current_exception(e.outcome);
      }
    }
    if (timed_out(e) && e.outcome->has_error()) return verdict::failure;
    return classify(classifier_, std::as_const(*e.outcome)).outcome;
  }

  boost::system::error_code code_of(unsigned attempt) const override {
    const entry& e = entries_[attempt];
    if (e.outcome->has_value()) return {};
    return timed_out(e) ? make_error_code(op_.limit.code) : e.outcome->assume_error().code();
  }

  void deliver(unsigned attempt) noexcept override {
    entry& e = entries_[attempt];
    try {
      result_.outcome.emplace(std::move(*e.outcome));
    } catch (...) {  // out of the value's move
      fail_with_current_exception(result_.outcome);
    }
    result_.cancelled = e.sink.cancelled;
  }

  static bool timed_out(const entry& e) noexcept {
    return e.sink.cancelled == cancel_reason::deadline;
  }

  const Stack& stack_;
  const Classifier& classifier_;
  Call& call_;
  race_result<T>& result_;
  std::array<entry, max_attempts> entries_;
};

/// The attempt of an operation whose innermost layer is a hedge.
template <class T, class Layer, class Classifier, class Call>
class hedged_attempt {
 public:
  using inner_stack = typename Layer::inner_stack;
  using race_type = race<T, inner_stack, Classifier, Call>;

  hedged_attempt(operation& op, const Layer& layer, const Classifier& classifier,
                 call_keeper<Call>& call)
      : operation_(op), layer_(layer), classifier_(classifier), call_(call) {}

  template <class Handler>
  void start(Handler&& handler) {
    const auto caller = asio::get_associated_cancellation_slot(handler);
    resumption waiter;
    waiter.store(std::forward<Handler>(handler));
    try {
      const auto r = std::allocate_shared<race_type>(
          asio::recycling_allocator<race_type>(), operation_, *layer_.core(), layer_.inner(),
          classifier_, call_.get(), result_);
      operation_.listen_to(caller);
      r->begin(waiter);
    } catch (...) {
      fail(result_.outcome, failure(std::current_exception()));
      waiter.post_or_resume();
    }
  }

  [[gnu::noinline]] void finish(outcome_slot<T>& outcome) {
    operation_.attempt_over(result_.cancelled == cancel_reason::deadline ? result_.cancelled
                                                                         : cancel_reason::none);
    outcome.emplace(std::move(*result_.outcome));
    if (inner_stack::size > 0 && outcome->has_error()) {
      failure& f = outcome->assume_error();
      operation_.attribute_timeout(f);
      // Another attempt may have been cut short than the one whose failure this is.
      if (operation_.had_its_time || f.policy() != policy_kind::timeout) {
        operation_.cut_short = false;
      }
    }
  }

 private:
  operation& operation_;
  const Layer& layer_;
  const Classifier& classifier_;
  call_keeper<Call>& call_;
  race_result<T> result_;
};

}  // namespace holdfast::detail

#endif
