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

namespace holdfast {

namespace asio = boost::asio;

/// Who keeps two handlers of an executor from running at the same time.
enum class affinity : std::uint8_t {
  context,  ///< The context: one thread runs it.
  strand,   ///< A strand.
  none,     ///< Nobody, as far as can be known.
};

/// Time, timers and randomness of one execution context: the seam through which every policy and
/// every wait goes, so that `testing::virtual_time` can stand in for all of it.
///
/// Real timers stand in a `timer_wheel` with one `steady_timer` behind it. That timer is no work of
/// the context: `run()` returns as if it were not there.
///
/// Thread safety: safe, where the context is not serial; where it is, used from its one thread.
class time_service final : public asio::execution_context::service {
 public:
  using key_type = time_service;
  static asio::execution_context::id id;

  explicit time_service(asio::execution_context& context);
  ~time_service();

  /// The service of an executor's context, and who serialises the executor's handlers.
  struct place {
    time_service* service;
    affinity serialised_by;
  };

  /// Finds both. Cost: in the common case one type comparison and a thread-local look-up.
  static place locate(const asio::any_io_executor& executor) {
    const auto* io = executor.target<asio::io_context::executor_type>();
    auto& service = of(io ? static_cast<asio::execution_context&>(io->context())
                          : asio::query(executor, asio::execution::context));
    if (!service.alarm_ready_.load(std::memory_order_acquire)) [[unlikely]] {
      service.make_alarm(executor);
    }
    if (!io) [[unlikely]] return {&service, strand_or_none(executor)};
    return {&service, service.serial_ ? affinity::context : affinity::none};
  }
  static time_service& of(const asio::any_io_executor& executor) {
    return *locate(executor).service;
  }
  static time_service& of(asio::io_context& context);
  static time_service& of(asio::execution_context& context) {
    return detail::service_cache<time_service>::get(context);
  }

  /// The time of the last clock tick: cheap, and behind real time by less than `resolution()` as
  /// long as the machine does not stall.
  time_point now() const noexcept {
    if (source_) [[unlikely]] return source_->now();
    return detail::coarse_now();
  }

  /// The time, read from the precise clock.
  time_point precise_now() const noexcept { return source_ ? source_->now() : clock::now(); }

  /// How far `now()` may be behind: what a wait that starts from it must add to be never early.
  duration resolution() const noexcept {
    return resolution_;
  }

  /// Arms a timer that is not armed. Its callback runs at or after `when`, on a thread of the
  /// context, under this service's lock where the context is not serial: it must only hand on.
  [[gnu::always_inline]] void arm(timer_entry& timer, time_point when) {
    if (shared_or_virtual_) [[unlikely]] return arm_elsewhere(timer, when);
    if (when < programmed_) [[unlikely]] program(when);  // may throw: before the timer is linked
    wheel_.insert(timer, when);
  }

  /// Disarms a timer; nothing happens if it is not armed. Its callback is not running afterwards.
  [[gnu::always_inline]] void disarm(timer_entry& timer) noexcept {
    if (shared_or_virtual_) [[unlikely]] return disarm_elsewhere(timer);
    if (timer.linked()) wheel_.remove(timer);
  }

  /// A uniformly distributed number, from the seed of `testing::virtual_time` where there is one.
  std::uint64_t random() noexcept;

  /// Whether one thread runs the context: its concurrency hint is 1, or `assume_serial` said so.
  bool serial() const noexcept { return serial_; }
  void set_serial() noexcept {
    serial_ = true;
    choose_path();
  }

  /// How many resumptions are on their way here from elsewhere: the context's shutdown waits for
  /// them to be posted.
  detail::sync::atomic<unsigned>& pins() noexcept { return pins_; }

  /// Puts a source of virtual time in place, or takes it away. Only while no timer is armed.
  void set_source(time_source* source) noexcept {
    source_ = source;
    choose_path();
  }

 private:
  class maybe_lock {
   public:
    explicit maybe_lock(time_service& s) : mutex_(s.serial_ ? nullptr : &s.mutex_) {
      if (mutex_) mutex_->lock();
    }
    ~maybe_lock() {
      if (mutex_) mutex_->unlock();
    }
    maybe_lock(const maybe_lock&) = delete;

   private:
    detail::sync::mutex* mutex_;
  };

  class alarm_clock;  // the steady_timer behind the wheel, and the accounting of its work
  template <class T>
  struct alarm_allocator;

  void shutdown() noexcept override;
  void choose_path() noexcept {
    shared_or_virtual_ = source_ || !serial_;
    resolution_ = source_ ? duration::zero() : detail::coarse_resolution();
  }
  void arm_elsewhere(timer_entry& timer, time_point when);
  void disarm_elsewhere(timer_entry& timer) noexcept;
  void make_alarm(const asio::any_io_executor& executor);
  void program(time_point when);
  void on_alarm();
  static affinity strand_or_none(const asio::any_io_executor& executor) noexcept;

  bool serial_ = false;
  bool shared_or_virtual_ = true;  // timers need the lock, or belong to `source_`
  duration resolution_{0};
  time_source* source_ = nullptr;
  time_point programmed_ = never;  // when the alarm clock rings; `never` when it is not set
  timer_wheel wheel_;
  detail::sync::mutex mutex_;
  detail::sync::atomic<unsigned> pins_{0};
  std::unique_ptr<alarm_clock> alarm_;  // made with the first executor that is seen
  detail::sync::atomic<bool> alarm_ready_{false};
  alignas(std::max_align_t) std::byte alarm_memory_[256];  // of the alarm's one wait
};

/// Declares that exactly one thread runs `context`, where its concurrency hint does not say so.
/// Operations then need no strand and no lock. Call it before the first operation.
/// A context made as `asio::io_context ctx{1}` needs no such word (on Boost >= 1.87).
void assume_serial(asio::execution_context& context);

}  // namespace holdfast

#endif
