// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_EVENT_QUEUE_HPP
#define HOLDFAST_DETAIL_EVENT_QUEUE_HPP

#include <cstdint>
#include <functional>
#include <holdfast/subscription.hpp>
#include <memory>
#include <utility>

namespace holdfast::detail {

/// The queue of events of any one type.
class untyped_event_queue {
 public:
  using event = std::shared_ptr<const void>;
  using listener_function = std::function<void(const void*)>;

  untyped_event_queue();

  bool has_listeners() const noexcept;
  void push(event e);
  void count_error() noexcept;
  void deliver() noexcept;
  subscription subscribe(listener_function function);
  std::uint64_t errors() const noexcept;

 private:
  struct listener;
  struct shared_state;

  std::shared_ptr<shared_state> shared_;
};

/// Brings events to listeners in the order in which they were pushed, one at a time, with no lock
/// held. Whoever pushes while another thread is delivering leaves the event to that thread; a
/// listener that causes further events sees them after its own call, not inside it.
///
/// What a listener throws, and an event for which there is no memory, is counted as an error.
template <class Event>
class event_queue {
 public:
  using listener_function = std::function<void(const Event&)>;

  /// Appends what `make` returns, where anybody listens. Cheap enough to be called under the lock
  /// that orders the events.
  template <class Make>
  void push(Make&& make) noexcept {
    if (!queue_.has_listeners()) return;
    try {
      queue_.push(std::make_shared<const Event>(make()));
    } catch (...) {
      queue_.count_error();
    }
  }

  /// Delivers what has been pushed, unless another call of `deliver` is at it. A listener may
  /// destroy the queue.
  void deliver() noexcept { queue_.deliver(); }

  subscription subscribe(listener_function function) {
    return queue_.subscribe([function = std::move(function)](const void* e) {
      function(*static_cast<const Event*>(e));
    });
  }

  std::uint64_t errors() const noexcept { return queue_.errors(); }

 private:
  untyped_event_queue queue_;
};

}  // namespace holdfast::detail

#endif
