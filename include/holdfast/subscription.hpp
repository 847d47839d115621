// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_SUBSCRIPTION_HPP
#define HOLDFAST_SUBSCRIPTION_HPP

#include <functional>
#include <utility>

namespace holdfast {

/// Keeps a listener registered. Destroying it unregisters the listener, waiting for a call of it
/// that is under way on another thread. May outlive what it listens to.
class subscription {
 public:
  subscription() noexcept = default;
  explicit subscription(std::function<void()> cancel) : cancel_(std::move(cancel)) {}
  subscription(subscription&& other) noexcept : cancel_(std::exchange(other.cancel_, nullptr)) {}
  subscription& operator=(subscription&& other) noexcept {
    if (this != &other) {
      cancel();
      cancel_ = std::exchange(other.cancel_, nullptr);
    }
    return *this;
  }
  ~subscription() { cancel(); }

  /// Unregisters the listener now.
  void cancel() {
    if (auto c = std::exchange(cancel_, nullptr)) c();
  }

 private:
  std::function<void()> cancel_;
};

}  // namespace holdfast

#endif
