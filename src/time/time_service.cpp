// SPDX-License-Identifier: BSL-1.0
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/version.hpp>
#include <holdfast/detail/work_count.hpp>
#include <holdfast/time/time_service.hpp>
#include <random>
#include <thread>
#if BOOST_VERSION >= 108700
#include <boost/asio/config.hpp>
#endif

namespace holdfast {

namespace {

using io_executor = asio::io_context::executor_type;
using pool_executor = asio::thread_pool::executor_type;

bool runs_in_one_thread([[maybe_unused]] asio::execution_context& context) {
#if BOOST_VERSION >= 108700
  return asio::config(context).get("scheduler", "concurrency_hint", -1) == 1;
#else
  return false;
#endif
}

}  // namespace

/// Gives the alarm's wait the memory in the service, which outlives what the context may still hold
/// of that wait when it goes.
template <class T>
struct time_service::alarm_allocator {
  using value_type = T;

  explicit alarm_allocator(time_service& s) noexcept : service(&s) {}
  template <class U>
  alarm_allocator(const alarm_allocator<U>& other) noexcept : service(other.service) {}

  T* allocate(std::size_t) const noexcept {
    static_assert(sizeof(T) <= sizeof(alarm_memory_));
    static_assert(alignof(T) <= alignof(std::max_align_t));
    return reinterpret_cast<T*>(service->alarm_memory_);
  }
  void deallocate(T*, std::size_t) const noexcept {}

  template <class U>
  friend bool operator==(const alarm_allocator& a, const alarm_allocator<U>& b) noexcept {
    return a.service == b.service;
  }

  time_service* service;
};

/// The one real timer. It is not counted as work of the context: an idle timer must not keep
/// `run()` from returning.
///
/// There is one wait at a time, in memory that the service has for it: to set the alarm allocates
/// nothing. Under the service's lock, like all of the wheel.
class time_service::alarm_clock {
 public:
  alarm_clock(const asio::any_io_executor& executor, time_service& owner)
      : timer_(executor), work_(executor), owner_(owner) {}

  void set(time_point when) {
    timer_.expires_at(when);  // ends the wait that is pending, whose handler then waits anew
    if (!waiting_) wait();
  }

 private:
  void wait() {
    // Balanced: down once for each wait, up once in its handler. The caller is itself a handler of
    // the context, so the count cannot reach zero in between.
    timer_.async_wait(asio::bind_allocator(
        alarm_allocator<void>(owner_), [this](boost::system::error_code ec) {
          work_.up();
          const maybe_lock lock(owner_);
          waiting_ = false;
          if (ec) return wait();
          owner_.on_alarm();
        }));
    waiting_ = true;
    work_.down();
  }

  asio::steady_timer timer_;
  detail::work_count work_;
  time_service& owner_;
  bool waiting_ = false;
};

asio::execution_context::id time_service::id;

time_service::time_service(asio::execution_context& context)
    : service(context) {
  choose_path();
}

time_service::~time_service() {
  detail::service_epoch.fetch_add(1, std::memory_order_relaxed);
}

void time_service::shutdown() noexcept {
  // Each callback drops a suspended coroutine; its frame goes with the context's queue, and what
  // it still disarms is no longer linked.
  for (;;) {
    timer_entry* timer = nullptr;
    {
      const maybe_lock lock(*this);
      timer = wheel_.pop_any();
    }
    if (!timer) break;
    timer->on_shutdown(*timer);
  }
  // Whoever ended a wait before that, from another context, has still to post what waited.
  while (pins_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
  alarm_.reset();
  programmed_ = time_point::min();  // nothing sets the alarm again
}

void time_service::arm_elsewhere(timer_entry& timer, time_point when) {
  if (source_) return source_->arm(timer, when);
  const maybe_lock lock(*this);
  if (when < programmed_) program(when);
  wheel_.insert(timer, when);
}

void time_service::disarm_elsewhere(timer_entry& timer) noexcept {
  if (source_) return source_->disarm(timer);
  const maybe_lock lock(*this);
  if (timer.linked()) wheel_.remove(timer);
}

void time_service::make_alarm(const asio::any_io_executor& executor) {
  const maybe_lock lock(*this);
  if (!alarm_) {
    const auto base = detail::base_executor(executor);
    alarm_ = std::make_unique<alarm_clock>(base, *this);
    // A thread_pool has the hint as well, but whoever starts an operation is not its one thread.
    if (base.target<asio::io_context::executor_type>() && runs_in_one_thread(context())) {
      set_serial();
    }
  }
  alarm_ready_.store(true, std::memory_order_release);
}

void time_service::program(time_point when) {
  const time_point tick = timer_wheel::round_up(when);
  if (tick >= programmed_) return;  // the alarm rings for the same tick already
  alarm_->set(tick);
  programmed_ = tick;
}

void time_service::on_alarm() {
  programmed_ = never;
  timer_list expired;
  wheel_.advance(clock::now(), expired);
  // Popped one by one: a callback may disarm any other timer, also one in this list.
  while (!expired.empty()) {
    timer_entry& timer = expired.front();
    timer_list::unlink(timer);
    timer.on_expiry(timer);
  }
  if (const auto next = wheel_.next(); next && *next < programmed_) {
    alarm_->set(*next);
    programmed_ = *next;
  }
}

std::uint64_t time_service::random() noexcept {
  if (source_) return source_->random();
  thread_local std::mt19937_64 engine{[] {
    std::random_device device;
    return (std::uint64_t{device()} << 32) ^ device();
  }()};
  return engine();
}

affinity time_service::strand_or_none(const asio::any_io_executor& executor) noexcept {
  const bool is_strand = executor.target<asio::strand<io_executor>>() ||
                         executor.target<asio::strand<pool_executor>>() ||
                         executor.target<asio::strand<asio::any_io_executor>>();
  if (is_strand) return affinity::strand;
  return affinity::none;
}

time_service& time_service::of(asio::io_context& context) { return of(context.get_executor()); }

void assume_serial(asio::execution_context& context) { time_service::of(context).set_serial(); }

}  // namespace holdfast
