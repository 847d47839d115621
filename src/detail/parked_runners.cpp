// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <holdfast/detail/parked_runners.hpp>
#include <holdfast/detail/runner.hpp>
#include <mutex>
#include <new>

namespace holdfast::detail {

namespace {

// How many runners `take` tries to move before it gives up.
constexpr int most_looks = 8;

constexpr unsigned always_kept = 16;

// Destroying this many takes some 100 us of the context's thread; then others have their turn.
constexpr unsigned most_at_a_time = 128;
constexpr duration pause = std::chrono::milliseconds(20);

}  // namespace

runner_base* parked_runners::take(const place& where) {
  const std::lock_guard lock(mutex_);
  runner_base** at = &free_;
  for (int i = 0; i < most_looks && *at; ++i, at = &(*at)->next_free_) {
    runner_base& r = **at;
    if (!r.move_to(where)) continue;
    *at = r.next_free_;
    remove(r);
    least_ = std::min(least_, count_);
    return &r;
  }
  return nullptr;
}

void parked_runners::give_back(runner_base& r) noexcept {
  bool begins = false;
  asio::any_io_executor last;  // destroyed without the lock
  {
    const std::lock_guard lock(mutex_);
    last = target_without_use(r);
    r.next_free_ = free_;
    r.is_free_ = true;
    free_ = &r;
    if (++count_ > always_kept && !watched_) [[unlikely]] {
      begins = watched_ = true;
      least_ = count_;
    }
  }
  // From here on the runner may be gone.
  if (begins) [[unlikely]] watch(period_);
}

void parked_runners::let_go_of_target(runner_base& r) noexcept {
  asio::any_io_executor last;  // destroyed without the lock
  const std::lock_guard lock(mutex_);
  if (r.is_free_) last = target_without_use(r);
}

asio::any_io_executor parked_runners::target_without_use(runner_base& r) noexcept {
  if (r.where().is_context() || !r.only_own_references()) return {};
  return r.forget_target();
}

unsigned parked_runners::count() const noexcept {
  const std::lock_guard lock(mutex_);
  return count_;
}

void parked_runners::remove(runner_base& r) noexcept {
  r.is_free_ = false;
  --count_;
}

template <class Condition>
runner_base* parked_runners::pop_if(Condition may_go) noexcept {
  const std::lock_guard lock(mutex_);
  runner_base* const r = free_;
  if (!r || !may_go(*r)) return nullptr;
  free_ = r->next_free_;
  remove(*r);
  return r;
}

/// Destroys some of the runners that were not needed, and returns when to look again; `zero` if so few
/// are left that they stay.
duration parked_runners::give_up_unneeded() noexcept {
  unsigned wanted = 0;
  {
    const std::lock_guard lock(mutex_);
    const unsigned surplus = count_ - std::min(count_, always_kept);
    wanted = std::min({least_, most_at_a_time, surplus});
    least_ -= wanted;
  }
  const auto unused = [this](const runner_base& r) {
    return r.only_own_references() && pins_.load(std::memory_order_acquire) == 0;
  };
  for (; wanted > 0; --wanted) {
    runner_base* const r = pop_if(unused);
    if (!r) break;  // still in use: it waits for the next period
    r->dismiss();
  }
  const std::lock_guard lock(mutex_);
  if (count_ <= always_kept) return duration::zero();
  if (wanted == 0 && least_ > 0) return pause;
  least_ = count_;
  return period_;
}

void parked_runners::on_expiry() noexcept {
  const duration again = give_up_unneeded();
  if (again > duration::zero()) return watch(again);
  const std::lock_guard lock(mutex_);
  watched_ = false;
}

void parked_runners::watch(duration from_now) noexcept {
  try {
    if (time_.may_tick_idly()) return time_.arm(*this, time_.now() + from_now);
  } catch (const std::bad_alloc&) {
    // The next runner that is given back tries again.
  }
  const std::lock_guard lock(mutex_);
  watched_ = false;
}

void parked_runners::end() noexcept {
  time_.disarm(*this);
  // Without the lock: what is destroyed may run destructors of users' objects.
  const auto any = [](const runner_base&) { return true; };
  while (runner_base* const r = pop_if(any)) r->dismiss();
}

}  // namespace holdfast::detail
