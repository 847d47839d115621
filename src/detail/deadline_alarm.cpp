// SPDX-License-Identifier: BSL-1.0
#include <deque>
#include <holdfast/detail/deadline_alarm.hpp>
#include <holdfast/detail/resumption.hpp>
#include <holdfast/detail/service_cache.hpp>
#include <holdfast/detail/sync.hpp>

namespace holdfast::detail {

class deadline_alarm::block : public timer_entry {
 public:
  block() noexcept : timer_entry(&on_timer, [](timer_entry&) noexcept {}) {}

  // Written by the attempt's executor, read there by the posted ring; after the block has been
  // handed to another attempt a late ring reads it from elsewhere, and finds it changed.
  sync::atomic<std::uint64_t> generation{0};
  asio::any_io_executor executor;
  deadline_alarm* alarm = nullptr;
  post_memory memory;  // for the ring, which nobody could be told had no memory
  block* next_free = nullptr;

 private:
  // Under the time service's lock, which `stop` takes too: the attempt is still there.
  static void on_timer(timer_entry& timer) noexcept {
    auto& self = static_cast<block&>(timer);
    const auto armed = self.generation.load(std::memory_order_relaxed);
    resumption ring(self.executor, [&self, armed] {
      if (self.generation.load(std::memory_order_relaxed) == armed) self.alarm->ring();
    });
    ring.reserve(std::move(self.memory));
    ring.post();
  }
};

namespace {

/// Keeps the blocks of one execution context.
class block_pool final : public asio::execution_context::service {
 public:
  using key_type = block_pool;
  static asio::execution_context::id id;

  explicit block_pool(asio::execution_context& context) : service(context) {}
  ~block_pool() { service_epoch.fetch_add(1, std::memory_order_relaxed); }

  deadline_alarm::block& take() {
    const std::lock_guard lock(mutex_);
    if (!free_) free_ = &blocks_.emplace_back();
    auto& b = *free_;
    b.memory.reserve(post_memory::most_blocks);
    free_ = b.next_free;
    return b;
  }

  void give_back(deadline_alarm::block& b) noexcept {
    const std::lock_guard lock(mutex_);
    b.next_free = free_;
    free_ = &b;
  }

 private:
  void shutdown() noexcept override {}

  sync::mutex mutex_;
  deadline_alarm::block* free_ = nullptr;
  std::deque<deadline_alarm::block> blocks_;
};

asio::execution_context::id block_pool::id;

}  // namespace

void deadline_alarm::start_on(const asio::any_io_executor& strand, time_service& time,
                              time_point deadline) {
  auto& b = service_cache<block_pool>::get(time.context()).take();
  b.executor = strand;
  b.alarm = this;
  remote_ = &b;
  time.arm(b, deadline);
}

void deadline_alarm::stop_remote(time_service& time) noexcept {
  auto& b = *std::exchange(remote_, nullptr);
  time.disarm(b);
  b.generation.fetch_add(1, std::memory_order_relaxed);
  // Not kept: it may hold the last reference to a user's strand.
  b.executor = {};
  service_cache<block_pool>::get(time.context()).give_back(b);
}

}  // namespace holdfast::detail
