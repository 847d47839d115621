// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_HOME_HPP
#define HOLDFAST_DETAIL_HOME_HPP

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <holdfast/detail/cancellation_scope.hpp>
#include <holdfast/detail/keyed_count.hpp>
#include <holdfast/detail/place.hpp>
#include <holdfast/detail/resumption.hpp>
#include <memory>
#include <new>
#include <optional>
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
  /// Keeps this, for the stack that runs the chain without one of its executors.
  class keeper {
   public:
    explicit keeper(home& h) noexcept {
      if (h.where().serialised_by() == affinity::context) return;  // no other thread
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

  /// The chain is going, and its own executors with it.
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

  /// Whether the chain runs on the stack of whoever launched its attempt.
  bool launching_ = false;

  /// A function of the chain has ended, and its attempt has not. Still under the gate.
  virtual void turn_over() noexcept = 0;
  /// No executor is left but the chain's own: if it is parked, its target can be let go. From any
  /// thread.
  virtual void unused() noexcept = 0;
  /// Counts those who are about to call `unused`, while the chain must not go.
  virtual sync::atomic<unsigned>& pins() noexcept = 0;

 private:
  friend class home_executor;
  struct left;
  template <class Function>
  struct left_behind;
  static constexpr std::size_t slot_size = 128;

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

  /// Runs the functions that came while the gate was taken: the next turns of the chain. What comes
  /// meanwhile is posted, since this thread may be wanted elsewhere.
  void run_left(const cancellation_scope::visit& here);

  template <class Function>
  void run_later(Function& function);

  void acquire() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    // Asked before another thread may move the chain.
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

  // For one function that found the gate taken, and for posting it: so that none allocates if they
  // come one at a time.
  sync::atomic<bool> slot_taken_{false};
  post_memory slot_memory_;
  alignas(std::max_align_t) std::byte slot_[slot_size];
};

/// The executor of a parked chain. 24 bytes, so that an `any_io_executor` holds it in place.
class home_executor {
 public:
  explicit home_executor(home& h) noexcept : home_(&h) { take(); }
  home_executor(const home_executor& other) noexcept
      : home_executor(other, other.never_, other.tracked_) {}
  home_executor(home_executor&& other) noexcept
      : home_(std::exchange(other.home_, nullptr)),
        job_(other.job_),
        turn_(other.turn_),
        never_(other.never_),
        tracked_(other.tracked_),
        counted_(other.counted_) {}
  home_executor& operator=(home_executor other) noexcept {
    std::swap(home_, other.home_);
    std::swap(job_, other.job_);
    std::swap(turn_, other.turn_);
    std::swap(never_, other.never_);
    std::swap(tracked_, other.tracked_);
    std::swap(counted_, other.counted_);
    return *this;
  }
  ~home_executor() {
    if (home_) drop();
  }

  template <class Function>
  void execute(Function function) const {
    execute(std::move(function), never_, [this](bool later, auto way) {
      home_->where_.execute(later, std::move(way));
    });
  }

  /// The same, by `submit(later, function)`, which hands a function to the target.
  template <class Function, class Submit>
  void execute(Function function, bool never, Submit submit) const {
    home& h = *home_;
    if (h.closed_) return function();
    if (stale()) return submit(never, std::move(function));
    if (!never && h.where_.here(false)) return h.run(function);
    submit(true, on_its_way<Function>(h, std::move(function)));
  }

  const place& where() const noexcept { return home_->where_; }
  /// Whether a function of the chain may run on this stack; then `run` runs it.
  bool runs_here() const noexcept { return !home_->closed_ && !stale() && where().here(false); }
  template <class Function>
  void run(Function& function) const {
    home_->run(function);
  }
  /// Whether it serves the attempt that runs now; else it means its target only.
  bool is_current() const noexcept { return !stale(); }

  /// Whether a function of the chain runs on this thread.
  bool running_in_this_thread() const noexcept {
    return stale() ? home_->where_.here() : home_->here();
  }

  asio::execution_context& query(asio::execution::context_t) const noexcept {
    return home_->where_.time().context();
  }
  asio::execution::blocking_t query(asio::execution::blocking_t) const noexcept {
    if (never_) return asio::execution::blocking_t(asio::execution::blocking.never);
    return asio::execution::blocking_t(asio::execution::blocking.possibly);
  }
  asio::execution::outstanding_work_t query(asio::execution::outstanding_work_t) const noexcept {
    using work = asio::execution::outstanding_work_t;
    if (tracked_) return work(asio::execution::outstanding_work.tracked);
    return work(asio::execution::outstanding_work.untracked);
  }
  home_executor require(asio::execution::blocking_t::never_t) const noexcept {
    return {*this, true, tracked_};
  }
  home_executor require(asio::execution::blocking_t::possibly_t) const noexcept {
    return {*this, false, tracked_};
  }
  home_executor require(asio::execution::outstanding_work_t::tracked_t) const noexcept {
    return {*this, never_, true};
  }
  home_executor require(asio::execution::outstanding_work_t::untracked_t) const noexcept {
    return {*this, never_, false};
  }

  friend bool operator==(const home_executor& a, const home_executor& b) noexcept {
    return a.home_ == b.home_ && a.never_ == b.never_ && a.tracked_ == b.tracked_;
  }

 private:
  home_executor(const home_executor& other, bool never, bool tracked) noexcept
      : home_(other.home_),
        // The chain's own, from before its first job, serve every job; a copy serves the one in
        // which it was made.
        job_(other.job_ ? other.job_ : home_->job()),
        turn_(other.turn_),
        never_(never),
        tracked_(tracked),
        counted_(tracked && other.counted_) {
    if (tracked && !other.tracked_ && !stale() && home_->here()) {
      counted_ = true;
      turn_ = home_->turn();
    }
    take();
  }

  bool stale() const noexcept { return job_ != 0 && job_ != home_->job(); }

  void take() noexcept {
    home_->acquire();
    if (!counted_) return;
    home_->pending_.add(job_);
    home_->begun_.add(turn_);
  }
  void drop() noexcept {
    if (counted_) {
      home_->begun_.subtract(turn_);
      home_->pending_.subtract(job_);
    }
    home_->release();
  }

  /// A function on its way home. That it is counted is what lets another thread cancel the chain
  /// before it arrives: so this is an acquisition and a release.
  template <class Function>
  struct on_its_way {
    on_its_way(home& h, Function&& f) : home_(&h), job(h.job()), function(std::move(f)) {
      home_->acquire();
      home_->coming_.add(job);
    }
    on_its_way(on_its_way&& other) noexcept
        : home_(std::exchange(other.home_, nullptr)),
          job(other.job),
          function(std::move(other.function)) {}
    ~on_its_way() {
      if (!home_) return;
      home_->coming_.subtract(job);
      home_->release();
    }
    void operator()() {
      const arrival at(*this);
      at.h.run(function);
    }

    /// It has come home, and is on its way no more.
    struct arrival {
      explicit arrival(on_its_way& w) noexcept : h(*std::exchange(w.home_, nullptr)) {
        h.coming_.subtract(w.job);
      }
      ~arrival() { h.release(); }
      home& h;
    };

    home* home_;
    std::uint32_t job;
    Function function;
  };

  template <class>
  friend struct home::left_behind;

  home* home_;
  std::uint32_t job_ = 0;
  std::uint32_t turn_ = 0;
  bool never_ = false;
  bool tracked_ = false;
  bool counted_ = false;
};
static_assert(sizeof(home_executor) <= 24);

/// A function that found the gate taken. The owner runs it if it is running the chain, and otherwise
/// posts it, to come home again.
struct home::left : gate::waiting {
  using action = void (*)(left&);
  left(void (*p)(waiting&) noexcept, action r) noexcept : waiting(p), run(r) {}
  action run;
};

template <class Function>
struct home::left_behind : left {
  using way_home = home_executor::on_its_way<Function>;

  /// Throws `std::bad_alloc`.
  static left_behind* make(home& h) {
    if constexpr (sizeof(left_behind) <= slot_size) {
      if (!h.slot_taken_.exchange(true, std::memory_order_acquire)) {
        return reserved(::new (static_cast<void*>(h.slot_)) left_behind(h, true));
      }
    }
    return reserved(new left_behind(h, false));
  }

  /// Gives the function back, and frees this.
  way_home take() noexcept {
    way_home taken(std::move(*way));
    discard();
    return taken;
  }

  std::optional<way_home> way;

 private:
  struct dropper {
    void operator()(left_behind* l) const noexcept { const way_home dropped = l->take(); }
  };

  left_behind(home& h, bool in_slot) noexcept
      : left(&post_again, &run_now), home_(h), in_slot_(in_slot) {
    if (in_slot) memory_ = std::move(h.slot_memory_);
  }

  static left_behind* reserved(left_behind* l) {
    try {
      l->memory_.reserve(post_memory::blocks_for(l->home_.where_.executor()));
    } catch (...) {
      l->discard();
      throw;
    }
    return l;
  }

  void discard() noexcept {
    if (!in_slot_) return delete this;
    home& h = home_;
    post_memory memory = std::move(memory_);
    this->~left_behind();
    h.slot_memory_ = std::move(memory);
    h.slot_taken_.store(false, std::memory_order_release);
  }

  static void run_now(left& l) {
    way_home way = static_cast<left_behind&>(l).take();
    way();
  }

  static void post_again(waiting& w) noexcept {
    std::unique_ptr<left_behind, dropper> self(&static_cast<left_behind&>(w));
    left_behind& l = *self;
    post_memory memory = std::move(l.memory_);
    resumption again(l.home_.where_.executor(), [self = std::move(self)]() mutable {
      way_home way = self.release()->take();
      way();
    });
    again.reserve(std::move(memory));
    again.post();
  }

  home& home_;  // which `way` keeps
  post_memory memory_;
  const bool in_slot_;
};

template <class Function>
void home::run_later(Function& function) {
  left_behind<Function>* l = nullptr;
  try {
    l = left_behind<Function>::make(*this);
  } catch (const std::bad_alloc&) {
    scope_->door().enter();
    return run_inside(function);
  }
  l->way.emplace(*this, std::move(function));
  if (scope_->door().enter_or_push(*l)) {
    auto way = l->take();
    const typename left_behind<Function>::way_home::arrival at(way);
    run_inside(way.function);
  }
}

}  // namespace holdfast::detail

#endif
