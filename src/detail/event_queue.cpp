// SPDX-License-Identifier: BSL-1.0
#include <condition_variable>
#include <deque>
#include <holdfast/detail/event_queue.hpp>
#include <mutex>
#include <thread>
#include <vector>

namespace holdfast::detail {

struct untyped_event_queue::listener {
  explicit listener(listener_function f) : function(std::move(f)) {}
  listener_function function;
  bool active = true;
  std::thread::id caller;  // who is calling it now
};

struct untyped_event_queue::shared_state {
  std::mutex mutex;
  std::condition_variable idle;
  std::deque<event> events;
  std::vector<std::shared_ptr<listener>> listeners;  // those that have gone leave after a delivery
  std::uint64_t errors = 0;
  bool delivering = false;

  /// Calls one listener, without the lock.
  void call(std::unique_lock<std::mutex>& lock, listener& l, const event& e) noexcept {
    l.caller = std::this_thread::get_id();
    lock.unlock();
    bool failed = false;
    try {
      l.function(e.get());
    } catch (...) {
      failed = true;
    }
    lock.lock();
    l.caller = {};
    if (failed) ++errors;
    idle.notify_all();
  }

  /// Lets go of a listener that has gone; false if there is none. What ends with it may be anything,
  /// and ends without the lock.
  bool forget_one(std::unique_lock<std::mutex>& lock) noexcept {
    for (auto l = listeners.begin(); l != listeners.end(); ++l) {
      if ((*l)->active) continue;
      auto gone = std::move(*l);
      listeners.erase(l);
      lock.unlock();
      gone.reset();
      lock.lock();
      return true;
    }
    return false;
  }
};

untyped_event_queue::untyped_event_queue() : shared_(std::make_shared<shared_state>()) {}

bool untyped_event_queue::has_listeners() const noexcept {
  const std::lock_guard lock(shared_->mutex);
  return !shared_->listeners.empty();
}

void untyped_event_queue::push(event e) {
  const std::lock_guard lock(shared_->mutex);
  shared_->events.push_back(std::move(e));
}

void untyped_event_queue::count_error() noexcept {
  const std::lock_guard lock(shared_->mutex);
  ++shared_->errors;
}

void untyped_event_queue::deliver() noexcept {
  const auto shared = shared_;  // a listener may destroy the owner of this queue
  std::unique_lock lock(shared->mutex);
  if (shared->delivering) return;
  shared->delivering = true;
  do {
    while (!shared->events.empty()) {
      const event e = std::move(shared->events.front());
      shared->events.pop_front();
      const std::size_t known = shared->listeners.size();  // others may come meanwhile
      for (std::size_t i = 0; i < known; ++i) {
        const auto l = shared->listeners[i];
        if (l->active) shared->call(lock, *l, e);
      }
    }
  } while (shared->forget_one(lock));
  shared->delivering = false;
}

subscription untyped_event_queue::subscribe(listener_function function) {
  auto l = std::make_shared<listener>(std::move(function));
  subscription result([weak = std::weak_ptr(shared_), l] {
    const auto shared = weak.lock();
    if (!shared) return;
    std::unique_lock lock(shared->mutex);
    l->active = false;
    if (!shared->delivering) std::erase(shared->listeners, l);
    // From within its own call there is nothing to wait for.
    shared->idle.wait(lock, [&l] {
      return l->caller == std::thread::id() || l->caller == std::this_thread::get_id();
    });
  });
  const std::lock_guard lock(shared_->mutex);
  shared_->listeners.push_back(std::move(l));
  return result;
}

std::uint64_t untyped_event_queue::errors() const noexcept {
  const std::lock_guard lock(shared_->mutex);
  return shared_->errors;
}

}  // namespace holdfast::detail
