// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_EVENT_QUEUE_HPP
#define HOLDFAST_DETAIL_EVENT_QUEUE_HPP

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <holdfast/subscription.hpp>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace holdfast::detail {

/// Brings events to listeners in the order in which they were pushed, one at a time, with no lock
/// held. Whoever pushes while another thread is delivering leaves the event to that thread; a
/// listener that causes further events sees them after its own call, not inside it.
template <class Event>
class event_queue {
 public:
  using listener_function = std::function<void(const Event&)>;

  /// Appends an event. Cheap enough to be called under the lock that orders the events.
  void push(Event event) {
    const std::lock_guard lock(shared_->mutex);
    if (!shared_->listeners.empty()) shared_->events.push_back(std::move(event));
  }

  /// Delivers what has been pushed, unless another call of `deliver` is at it.
  void deliver() {
    // A listener may destroy the owner of this queue.
    const auto shared = shared_;
    std::unique_lock lock(shared->mutex);
    if (shared->delivering) return;
    shared->delivering = true;
    while (!shared->events.empty()) {
      const Event event = std::move(shared->events.front());
      shared->events.pop_front();
      const auto listeners = shared->listeners;  // a listener may come or go meanwhile
      for (const auto& l : listeners) {
        if (!l->active) continue;
        l->caller = std::this_thread::get_id();
        lock.unlock();
        bool failed = false;
        try {
          l->function(event);
        } catch (...) {
          failed = true;
        }
        lock.lock();
        l->caller = {};
        if (failed) ++shared->errors;
        shared->idle.notify_all();
      }
    }
    shared->delivering = false;
  }

  subscription subscribe(listener_function function) {
    auto l = std::make_shared<listener>(std::move(function));
    {
      const std::lock_guard lock(shared_->mutex);
      shared_->listeners.push_back(l);
    }
    return subscription([weak = std::weak_ptr(shared_), l] {
      const auto shared = weak.lock();
      if (!shared) return;
      std::unique_lock lock(shared->mutex);
      l->active = false;
      std::erase(shared->listeners, l);
      // From within its own call there is nothing to wait for.
      shared->idle.wait(lock, [&] {
        return l->caller == std::thread::id() || l->caller == std::this_thread::get_id();
      });
    });
  }

  std::uint64_t errors() const {
    const std::lock_guard lock(shared_->mutex);
    return shared_->errors;
  }

 private:
  struct listener {
    explicit listener(listener_function f) : function(std::move(f)) {}
    listener_function function;
    bool active = true;
    std::thread::id caller;  // who is calling it now
  };
  struct shared_state {
    std::mutex mutex;
    std::condition_variable idle;
    std::deque<Event> events;
    std::vector<std::shared_ptr<listener>> listeners;
    std::uint64_t errors = 0;
    bool delivering = false;
  };

  std::shared_ptr<shared_state> shared_ = std::make_shared<shared_state>();
};

}  // namespace holdfast::detail

#endif
