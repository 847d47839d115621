// SPDX-License-Identifier: BSL-1.0
#include <holdfast/testing/virtual_time.hpp>
#include <holdfast/time/time_service.hpp>

namespace holdfast::testing {

virtual_time::virtual_time(asio::io_context& context, std::uint64_t seed)
    : context_(context), now_(time_point(std::chrono::hours(1))), random_(seed) {
  time_service::of(context_).set_source(this);
}

virtual_time::~virtual_time() {
  auto& time = time_service::of(context_.get_executor());
  time.set_source(nullptr);
  // What still waits is handed to the context, which drops it when it goes.
  while (!timers_.empty()) {
    timer_entry& timer = timers_.begin()->second.front();
    disarm(timer);
    time.arm(timer, never);
  }
}

std::size_t virtual_time::poll() {
  std::size_t count = 0;
  for (;;) {
    if (context_.stopped()) context_.restart();
    const std::size_t ran = context_.poll();
    if (ran == 0) return count;
    count += ran;
  }
}

void virtual_time::arm(timer_entry& timer, time_point when) {
  const std::lock_guard lock(mutex_);
  timers_[when].push_back(timer);
  timer.when = when;
  ++armed_;
}

void virtual_time::disarm(timer_entry& timer) noexcept {
  const std::lock_guard lock(mutex_);
  if (timer.linked()) take_out(timer);
}

void virtual_time::take_out(timer_entry& timer) noexcept {
  timer_list::unlink(timer);
  --armed_;
  const auto instant = timers_.find(timer.when);
  if (instant->second.empty()) timers_.erase(instant);
}

bool virtual_time::fire_next(time_point limit) {
  std::unique_lock lock(mutex_);
  if (timers_.empty()) return false;
  const auto first = timers_.begin();
  if (first->first > limit || first->first == never) return false;
  timer_entry& timer = first->second.front();
  take_out(timer);
  if (timer.when > now()) now_ = timer.when;
  if (!timer.claim()) return true;
  lock.unlock();
  timer.on_expiry();
  return true;
}

bool virtual_time::step() {
  if (!fire_next(never)) return false;
  poll();
  return true;
}

bool virtual_time::step_one() {
  if (context_.stopped()) context_.restart();
  return context_.poll_one() != 0 || fire_next(never);
}

std::size_t virtual_time::run() { return run_until(never); }

std::size_t virtual_time::run_for(duration d) { return run_until(saturating_add(now(), d)); }

std::size_t virtual_time::run_until(time_point t) {
  std::size_t count = poll();
  while (fire_next(t)) count += poll();
  if (t != never && t > now()) now_ = t;
  return count;
}

}  // namespace holdfast::testing
