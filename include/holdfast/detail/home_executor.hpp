// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_HOME_EXECUTOR_HPP
#define HOLDFAST_DETAIL_HOME_EXECUTOR_HPP

#include <boost/asio/execution.hpp>
#include <cstdint>
#include <holdfast/detail/left_behind.hpp>
#include <utility>

namespace holdfast::detail {

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
    submit(true, home::way_home<Function>(h, std::move(function)));
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

  home* home_;
  std::uint32_t job_ = 0;
  std::uint32_t turn_ = 0;
  bool never_ = false;
  bool tracked_ = false;
  bool counted_ = false;
};
static_assert(sizeof(home_executor) <= 24);

}  // namespace holdfast::detail

#endif
