// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_HOME_HPP
#define HOLDFAST_DETAIL_HOME_HPP

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <holdfast/detail/cancellation_scope.hpp>
#include <holdfast/detail/keyed_count.hpp>
#include <holdfast/detail/place.hpp>
#include <holdfast/detail/sync.hpp>
#include <utility>

namespace holdfast::detail {

/// Where a parked chain is at home: what all copies of its executor refer to.
///
/// The executor is ours so that it can do three things that no other can. It may be given another
/// target between two attempts, so that one chain serves any strand. It runs the chain's functions
/// under the gate of the attempt's scope, so that they are serialised wherever the target does not
/// do it. And it tells whether the chain can be cancelled now: only while it waits for something
/// that was begun at home and so will come home. A chain that has gone to another executor, and may
/// be running there, is not touched until it is back.
///
/// An operation asks its handler's executor for `outstanding_work.tracked` before it starts, and
/// holds that until it completes: such executors are counted, by the function of the chain (the
/// *turn*) in which they were asked for. Those of the last turn belong to what the chain waits for.
/// Older ones may belong to it as well, as the children of an `a() && b()` do, or to an operation
/// that has just completed and still holds them; a second look, some time later, tells.
///
/// Lives as long as any copy of the executor. Each remembers the attempt (the *job*) in which it was
/// copied: one that is kept beyond it goes on meaning its target, and has nothing to do with the
/// attempts that follow.
class home {
 public:
  home(const home&) = delete;

  const place& where() const noexcept { return where_; }
  /// Whether the current thread runs a function of the chain.
  bool here() const noexcept { return scope_->mine(); }
  std::uint32_t job() const noexcept { return job_.load(std::memory_order_relaxed); }

  /// Runs a function of the chain, under the gate, on a thread of the target. If the gate is taken,
  /// its owner has the function come home again.
  template <class Function>
  void run(Function& function) {
    if (scope_->mine()) return function();
    if (scope_->door().try_enter()) [[likely]] return run_inside(function);
    run_later(function);
  }

  std::uint32_t turn() const noexcept { return turn_.load(std::memory_order_relaxed); }

 protected:
  home() noexcept = default;
  virtual ~home() = default;
  /// Before anything else: whose gate it is.
  void serve(cancellation_scope& scope) noexcept { scope_ = &scope; }

  enum class wait : std::uint8_t { at_home, perhaps, away };
  /// What the chain waits for. Under the gate, while none of its functions runs.
  wait waits_for() const noexcept {
    if (coming_.count(job()) > 0 || begun_.count(turn()) > 0) {
      return wait::at_home;
    }
    return pending_.count(job()) > 0 ? wait::perhaps : wait::away;
  }

  void move_to(const asio::any_io_executor& target) {
    target_ = target;
    where_ = place(target_);
  }
  /// Has what comes home run where it is: the chain's beginning, and its end.
  void close(bool closed = true) noexcept { closed_ = closed; }
  void begin_job() noexcept { job_.store(next(job()), std::memory_order_relaxed); }
  /// The chain has come to its parking place for the first time, and holds these for good.
  void count_own() noexcept {
    own_references_.store(references_.load(std::memory_order_relaxed) - 1,
                          std::memory_order_relaxed);
  }
  /// The chain is about to go, with its own executors.
  void count_own_no_more() noexcept {
    own_references_.store(none_own, std::memory_order_relaxed);
  }
  bool only_own_references() const noexcept {
    return references_.load(std::memory_order_acquire) ==
           own_references_.load(std::memory_order_relaxed);
  }
  asio::any_io_executor forget_target() noexcept {
    where_.forget();
    return std::exchange(target_, {});
  }

  /// Keeps the home while a stack runs the chain without holding one of its executors. Needed only
  /// if another thread may give the parked chain up meanwhile.
  class keeper {
   public:
    explicit keeper(home& h) noexcept {
      if (h.where().serialised_by() == affinity::context) return;
      kept_ = &h;
      h.acquire();
    }
    keeper(const keeper&) = delete;
    ~keeper() {
      if (kept_) kept_->release();
    }

   private:
    home* kept_ = nullptr;
  };

  /// Whether the chain runs on the stack that launched its attempt.
  bool launching_ = false;

  /// A function of the chain has ended, and its attempt has not. Still under the gate.
  virtual void turn_over() noexcept = 0;
  /// No executor is left but the chain's own: if it is parked, its target can be let go. From any
  /// thread.
  virtual void unused() noexcept = 0;
  /// Counts the threads that are about to call `unused`. The chain stays until they have.
  virtual sync::atomic<unsigned>& pins() noexcept = 0;

 private:
  friend class home_executor;
  template <class Function>
  struct way_home;
  struct left;
  template <class Function>
  struct left_behind;

  static std::uint32_t next(std::uint32_t n) noexcept { return n + 1 == 0 ? 1 : n + 1; }

  template <class Function>
  void run_inside(Function& function) {
    const turn_guard inside(*this);
    function();
    if (!inside.here.gone()) run_left(inside.here);
  }

  /// A function of the chain, under the gate.
  struct turn_guard {
    explicit turn_guard(home& h) noexcept : self(h), here(*h.scope_) { self.begin_turn(); }
    ~turn_guard() {
      if (!here.gone()) self.turn_over();
      if (here.gone()) return;
      self.launching_ = false;
      self.scope_->leave_from(here);
    }
    home& self;
    cancellation_scope::visit here;
  };
  void begin_turn() noexcept { turn_.store(next(turn()), std::memory_order_relaxed); }

  /// Runs the functions that found the gate taken, as the next turns of the chain. Functions that
  /// arrive meanwhile are posted, so that the thread returns to its context.
  void run_left(const cancellation_scope::visit& here);

  template <class Function>
  void run_later(Function& function);

  void acquire() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    // Checked first: after the subtraction another thread may move the chain.
    if (!where_.is_context()) return release_with_target();
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }
  void release_with_target() noexcept;

  cancellation_scope* scope_ = nullptr;
  asio::any_io_executor target_;
  place where_;
  sync::atomic<int> references_{0};
  static constexpr int none_own = -1;
  sync::atomic<int> own_references_{none_own};  // those that the parked chain itself holds
  sync::atomic<std::uint32_t> job_{0};
  sync::atomic<std::uint32_t> turn_{1};
  keyed_count begun_;    // by turn: operations begun at home
  keyed_count pending_;  // by job: the same
  keyed_count coming_;   // by job: functions on their way home
  bool closed_ = false;
};

}  // namespace holdfast::detail

#endif
