// SPDX-License-Identifier: BSL-1.0
#include <holdfast/detail/deadline_alarm.hpp>
#include <holdfast/detail/place.hpp>
#include <holdfast/detail/resumption.hpp>
#include <holdfast/detail/sync.hpp>
#include <memory>
#include <mutex>
#include <new>

#include "thread_store.hpp"

namespace holdfast::detail {

/// The timer of an alarm at a strand. Freed when neither the alarm nor a function that was posted to
/// the strand refers to it.
class deadline_alarm::block final : public timer_entry {
 public:
  block(deadline_alarm& alarm, const asio::any_io_executor& strand)
      : executor_(strand), alarm_(&alarm) {
    memory_.reserve(post_memory::blocks_for(executor_));
  }

  static void* operator new(std::size_t) {
    void* const p = store::take();
    if (!p) throw std::bad_alloc();
    return p;
  }
  static void operator delete(void* p) noexcept { store::give_back(p); }

  /// Cuts the block from its alarm.
  void forget_alarm() noexcept {
    {
      const std::lock_guard lock(mutex_);
      alarm_ = nullptr;
      if (posted_) return;
    }
    delete this;
  }

 private:
  struct memory_of_blocks;
  static constexpr std::size_t size = 192;
  using store = thread_store<memory_of_blocks, size>;

  bool claim() noexcept override {
    const std::lock_guard lock(mutex_);
    posted_ = true;
    return true;
  }

  void on_expiry() noexcept override {
    struct end_post {
      void operator()(block* b) const noexcept { b->end_post(); }
    };
    post_memory memory = std::move(memory_);
    resumption ring(executor_, [self = std::unique_ptr<block, end_post>(this)] {
      self->ring_on_strand();
    });
    ring.reserve(std::move(memory));
    ring.post();
  }

  void on_shutdown() noexcept override {}

  void end_post() noexcept {
    {
      const std::lock_guard lock(mutex_);
      posted_ = false;
      if (alarm_) return;
    }
    delete this;
  }

  void ring_on_strand() noexcept {
    deadline_alarm* claimed = nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (alarm_ && alarm_->claim_ring()) claimed = alarm_;
    }
    if (claimed) claimed->ring();
  }

  asio::any_io_executor executor_;
  post_memory memory_;  // for the ring, which cannot be told that there is none
  sync::short_mutex mutex_;
  deadline_alarm* alarm_;  // null once the alarm has been stopped
  bool posted_ = false;  // claimed, and the function has not been destroyed yet
};

void deadline_alarm::start(time_point at) {
  stop();
  const place& where = place_of_alarm();
  if (where.serialised_by() == affinity::strand) {
    static_assert(sizeof(block) <= 192);
    auto b = std::make_unique<block>(*this, where.executor());
    where.time().arm(*b, at);
    block_ = b.release();
  } else {
    where.time().arm(*this, at);
  }
  armed_ = true;
}

void deadline_alarm::stop_armed() noexcept {
  armed_ = false;
  auto& time = place_of_alarm().time();
  if (!block_) return time.disarm(*this);
  block* const b = std::exchange(block_, nullptr);
  time.disarm(*b);
  b->forget_alarm();
}

}  // namespace holdfast::detail
