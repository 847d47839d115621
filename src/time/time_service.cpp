// SPDX-License-Identifier: BSL-1.0
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/version.hpp>
#include <holdfast/detail/place.hpp>
#include <holdfast/time/time_service.hpp>
#include <random>
#include <thread>
#include <variant>
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

/// The one real timer, on an executor that is nothing but the context. It is not counted as work of
/// the context: an idle timer must not keep `run()` from returning.
///
/// There is one wait at a time, in memory that the service has for it. Under the service's lock, and
/// set on a thread of the context only: a count that falls to zero outside would stop the context.
class time_service::alarm_clock {
 public:
  explicit alarm_clock(time_service& owner) : timer_(context_only{&owner.context()}), owner_(owner) {}

  /// What the context's work is counted with: known since the first executor of a known type came
  /// by.
  std::variant<std::monostate, io_executor, pool_executor> counter;

  void set(time_point when) {
    if (!runs_here()) return ask();
    timer_.expires_at(when);  // ends the wait that is pending, whose handler then waits anew
    if (!waiting_) wait();
  }

 private:
  /// The context as an executor: waits complete on its threads, in place.
  struct context_only {
    asio::execution_context* context;
    asio::execution_context& query(asio::execution::context_t) const noexcept { return *context; }
    template <class Function>
    void execute(Function function) const {
      std::move(function)();
    }
    friend bool operator==(const context_only&, const context_only&) noexcept = default;
  };
  using timer = asio::basic_waitable_timer<clock, asio::wait_traits<clock>, context_only>;

  template <class Use>
  void with_counter(Use use) const {
    if (const auto* io = std::get_if<io_executor>(&counter)) use(*io);
    if (const auto* pool = std::get_if<pool_executor>(&counter)) use(*pool);
  }

  bool runs_here() const noexcept {
    bool here = true;  // of an unknown context nothing is taken back, so it may be set anywhere
    with_counter([&](const auto& executor) { here = executor.running_in_this_thread(); });
    return here;
  }

  /// Goes to the context, which sets the alarm for what is the earliest timer by then.
  void ask() {
    if (asked_) return;
    with_counter([this](const auto& executor) {
      asio::post(executor, [this] {
        const std::lock_guard lock(owner_.mutex_);
        asked_ = false;
        if (owner_.programmed_ != never) set(owner_.programmed_);
      });
    });
    asked_ = true;
  }

  void wait() {
    const bool counted = owner_.counts_work();
    timer_.async_wait(asio::bind_allocator(
        alarm_allocator<void>(owner_), [this, counted](boost::system::error_code ec) {
          if (counted) owner_.count_work(true);
          {
            const std::lock_guard lock(owner_.mutex_);
            waiting_ = false;
            if (ec) return wait();
          }
          owner_.on_alarm();
        }));
    waiting_ = true;
    // Balanced: taken back once for each wait, returned once in its handler. This is itself within a
    // handler of the context, so the count cannot reach zero in between.
    if (counted) owner_.count_work(false);
  }

  timer timer_;
  time_service& owner_;
  bool waiting_ = false;
  bool asked_ = false;
};

asio::execution_context::id time_service::id;

time_service::time_service(asio::execution_context& context)
    : service(context), alarm_(std::make_unique<alarm_clock>(*this)) {}

time_service::~time_service() {
  detail::service_epoch.fetch_add(1, std::memory_order_relaxed);
}

void time_service::shutdown() noexcept {
  // Each callback drops a suspended coroutine; its frame goes with the context's queue, and what
  // it still disarms is no longer linked.
  for (;;) {
    timer_entry* timer = nullptr;
    {
      const std::lock_guard lock(mutex_);
      timer = wheel_.pop_any();
    }
    if (!timer) break;
    timer->on_shutdown();
  }
  // Whoever ended a wait before that, from another context, has still to post what waited.
  while (pins_.load(std::memory_order_acquire) != 0) std::this_thread::yield();
  alarm_.reset();
  programmed_ = time_point::min();  // nothing sets the alarm again
}

void time_service::learn(const asio::any_io_executor& executor) {
  const auto base = detail::base_executor(executor);
  const std::lock_guard lock(mutex_);
  if (!alarm_ || counts_work()) return;
  if (const auto* io = base.target<io_executor>()) {
    alarm_->counter = *io;
    // A thread_pool has the hint as well, but whoever starts an operation is not its one thread.
    if (runs_in_one_thread(context())) set_serial();
  } else if (const auto* pool = base.target<pool_executor>()) {
    alarm_->counter = *pool;
  } else {
    return;
  }
  known_.store(true, std::memory_order_release);
}

void time_service::count_work(bool started) const noexcept {
  if (!counts_work() || !alarm_) return;  // without an alarm the context is going
  const auto count = [started](const auto& executor) {
    started ? executor.on_work_started() : executor.on_work_finished();
  };
  if (const auto* io = std::get_if<io_executor>(&alarm_->counter)) count(*io);
  if (const auto* pool = std::get_if<pool_executor>(&alarm_->counter)) count(*pool);
}

void time_service::set_source(time_source* source) noexcept {
  source_ = source;
  resolution_ = source_ ? duration::zero() : detail::coarse_resolution();
}

void time_service::program(time_point when) {
  const time_point tick = timer_wheel::round_up(when);
  if (tick >= programmed_) return;  // the alarm rings for the same tick already
  alarm_->set(tick);
  programmed_ = tick;
}

void time_service::on_alarm() {
  std::unique_lock lock(mutex_);
  programmed_ = never;
  timer_list expired;
  wheel_.advance(clock::now(), expired);
  // Before anything rings: what rings may go on for long, and may arm an earlier one meanwhile.
  if (const auto next = wheel_.next()) program(*next);
  // Popped one by one: meanwhile any other timer may be disarmed, also one in this list.
  while (!expired.empty()) {
    timer_entry& timer = expired.front();
    timer_list::unlink(timer);
    if (!timer.claim()) continue;
    lock.unlock();
    timer.on_expiry();
    lock.lock();
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

time_service& time_service::of(const asio::any_io_executor& executor) {
  auto& service = of(asio::query(executor, asio::execution::context));
  if (!service.counts_work()) service.learn(executor);
  return service;
}

time_service& time_service::of(asio::io_context& context) { return of(context.get_executor()); }

void assume_serial(asio::execution_context& context) { time_service::of(context).set_serial(); }

}  // namespace holdfast
