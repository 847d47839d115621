// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_DRAIN_OPERATION_HPP
#define HOLDFAST_DETAIL_DRAIN_OPERATION_HPP

#include <holdfast/detail/bulkhead_core.hpp>
#include <holdfast/detail/waiting_operation.hpp>
#include <memory>
#include <type_traits>
#include <utility>

namespace holdfast::detail {

/// What `drain` waits for: the last permit of a bulkhead.
class last_permit {
 public:
  explicit last_permit(std::shared_ptr<bulkhead_core> core) noexcept : core_(std::move(core)) {}

  wait_state& wait() noexcept { return place_.wait; }
  time_point begin(time_service&) noexcept {
    core_->join(place_);
    return never;
  }
  void end() noexcept { core_->leave(place_); }

 private:
  std::shared_ptr<bulkhead_core> core_;
  drain_wait place_;
};

struct initiate_drain {
  template <class Handler>
  void operator()(Handler&& handler, std::shared_ptr<bulkhead_core> core) const {
    waiting_operation<std::decay_t<Handler>, last_permit>::start(std::forward<Handler>(handler),
                                                                 std::move(core));
  }
};

struct initiate_drain_on {
  template <class Handler>
  void operator()(Handler&& handler, asio::any_io_executor executor,
                  std::shared_ptr<bulkhead_core> core) const {
    using homeward = homeward_handler<std::decay_t<Handler>>;
    waiting_operation<homeward, last_permit>::start(
        homeward(std::move(executor), std::forward<Handler>(handler)), std::move(core));
  }
};

}  // namespace holdfast::detail

#endif
