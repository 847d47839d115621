// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_SERVICE_CACHE_HPP
#define HOLDFAST_DETAIL_SERVICE_CACHE_HPP

#include <boost/asio/execution_context.hpp>
#include <cstdint>
#include <holdfast/detail/sync.hpp>

namespace holdfast::detail {

/// Counts the services of ours that were destroyed: a cached pointer is good while it stands still.
inline sync::atomic<std::uint64_t> service_epoch{0};

/// Remembers, per thread, the service of the execution context that was used last.
/// `use_service` takes a lock and walks a list; this is two comparisons.
/// `Service` must raise `service_epoch` in its destructor.
template <class Service>
class service_cache {
 public:
  static Service& get(boost::asio::execution_context& context) {
    entry& e = entry_;
    const auto epoch = service_epoch.load(std::memory_order_relaxed);
    if (e.context != &context || e.epoch != epoch) [[unlikely]] {
      e = {&context, &boost::asio::use_service<Service>(context), epoch};
    }
    return *e.service;
  }

 private:
  struct entry {
    boost::asio::execution_context* context = nullptr;
    Service* service = nullptr;
    std::uint64_t epoch = 0;
  };
  static inline constinit thread_local entry entry_{};
};

}  // namespace holdfast::detail

#endif
