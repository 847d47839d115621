// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_TIME_TIME_SERVICE_HPP
#define HOLDFAST_TIME_TIME_SERVICE_HPP

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <cstdint>
#include <holdfast/clock.hpp>
#include <holdfast/detail/coarse_clock.hpp>
#include <holdfast/detail/service_cache.hpp>
#include <holdfast/detail/sync.hpp>
#include <holdfast/time/time_source.hpp>
#include <holdfast/time/timer_wheel.hpp>
#include <memory>
#include <mutex>

namespace holdfast {

namespace asio = boost::asio;

/// Time, timers and randomness of one execution context: the seam through which every policy and
/// every wait goes, so that `testing::virtual_time` can stand in for all of it.
///
/// Real timers stand in a `timer_wheel` with one alarm behind it, which belongs to the context: it is
/// no work of the context, so `run()` and `join()` return as if it were not there, and it keeps none
/// of the user's executors.
///
/// Thread safety: safe. Cost of arming and disarming: one short lock each.
class time_service final : public asio::execution_context::service {
 public:
  using key_type = time_service;
  static asio::execution_context::id id;

  explicit time_service(asio::execution_context& context);
  ~time_service();

  static time_service& of(const asio::any_io_executor& executor);
  static time_service& of(asio::io_context& context);
  static time_service& of(asio::execution_context& context) {
    return detail::service_cache<time_service>::get(context);
  }

  /// The time of the last clock tick: cheap, and behind real time by up to `resolution()`, or by more
  /// while the machine stalls. Not for what must not happen early.
  time_point now() const noexcept {
    if (source_) [[unlikely]] return source_->now();
    return detail::coarse_now();
  }

  /// The time, read from the precise clock.
  time_point precise_now() const noexcept {
    if (source_) [[unlikely]] return source_->now();
    return clock::now();
  }

  /// How far `now()` may be behind on a machine that does not stall.
  duration resolution() const noexcept { return resolution_; }

  /// Arms a timer that is not armed. It rings at or after `when`, on a thread of the context. Throws
  /// if it has to set the alarm and there is no memory for it; the timer is not armed then.
  [[gnu::always_inline]] void arm(timer_entry& timer, time_point when) {
    if (source_) [[unlikely]] return source_->arm(timer, when);
    const std::lock_guard lock(mutex_);
    if (when < programmed_) [[unlikely]] program(when);
    wheel_.insert(timer, when);
  }

  /// Disarms a timer; nothing happens if it is not armed. It is not being claimed afterwards.
  [[gnu::always_inline]] void disarm(timer_entry& timer) noexcept {
    if (source_) [[unlikely]] return source_->disarm(timer);
    const std::lock_guard lock(mutex_);
    if (timer.linked()) wheel_.remove(timer);
  }

  /// A uniformly distributed number, from the seed of `testing::virtual_time` where there is one.
  std::uint64_t random() noexcept;

  /// Whether one thread runs the context: its concurrency hint is 1, or `assume_serial` said so.
  bool serial() const noexcept { return serial_; }
  void set_serial() noexcept { serial_ = true; }

  /// How many resumptions are on their way here from elsewhere: the context's shutdown waits for
  /// them to be posted.
  detail::sync::atomic<unsigned>& pins() noexcept { return pins_; }

  /// Puts a source of virtual time in place, or takes it away. Only while no timer is armed.
  void set_source(time_source* source) noexcept;

  /// Whether a timer for the library's own memory may be armed. In virtual time it would advance the
  /// clock; in a context whose work cannot be counted it would keep `run` from returning.
  bool may_tick_idly() const noexcept { return !source_ && counts_work(); }

  /// For the library: the type of the context, without which its work cannot be counted, from any
  /// executor of it.
  bool counts_work() const noexcept { return known_.load(std::memory_order_acquire); }
  void learn(const asio::any_io_executor& executor);
  void count_work(bool started) const noexcept;

 private:
  class alarm_clock;  // the steady_timer behind the wheel, and the accounting of its work
  template <class T>
  struct alarm_allocator;

  void shutdown() noexcept override;
  void program(time_point when);
  void on_alarm();

  bool serial_ = false;
  duration resolution_ = detail::coarse_resolution();
  time_source* source_ = nullptr;
  detail::sync::short_mutex mutex_;
  time_point programmed_ = never;  // when the alarm clock rings; `never` when it is not set
  timer_wheel wheel_;
  detail::sync::atomic<unsigned> pins_{0};
  detail::sync::atomic<bool> known_{false};
  std::unique_ptr<alarm_clock> alarm_;
  alignas(std::max_align_t) std::byte alarm_memory_[256];  // of the alarm's one wait
};

/// Declares that exactly one thread runs `context`, where its concurrency hint does not say so.
/// Operations then need no gate of their own. Call it before the first operation.
/// A context made as `asio::io_context ctx{1}` needs no such word (on Boost >= 1.87).
void assume_serial(asio::execution_context& context);

}  // namespace holdfast

#endif
