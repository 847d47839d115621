// SPDX-License-Identifier: BSL-1.0
// One who wants permits of a bulkhead's core, without a coroutine.
#pragma once

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <holdfast/detail/bulkhead_core.hpp>
#include <holdfast/detail/operation.hpp>

namespace test {

namespace hf = holdfast;

struct customer {
  explicit customer(boost::asio::io_context& context, hf::call_options o = {})
      : options(o), executor(context.get_executor()), operation(executor, options) {}

  hf::detail::admission ask(hf::detail::bulkhead_core& core,
                            hf::time_point now = hf::time_point(std::chrono::hours(1))) {
    hf::detail::turn& wish = operation.prepare_wait();
    wish.weight = std::max(options.weight, 1U);
    wish.rank = std::min(operation.priority(), hf::priority::background);
    wish.until = operation.limit.at;
    const auto a = core.acquire_or_enqueue(wish, now);
    place = a == hf::detail::admission::queued ? &wish : nullptr;
    return a;
  }
  /// Whether the queue has ended the wait, with a permit or with a refusal.
  bool granted() const { return place && place->wait.granted() && !place->refused; }
  bool refused_with(hf::errc code) const {
    return place && place->wait.granted() && place->refused && place->code == code;
  }
  bool waits() const { return place && place->queued; }
  hf::detail::wait_end finish() { return place->wait.finish(); }

  hf::call_options options;
  boost::asio::any_io_executor executor;
  hf::detail::operation operation;
  hf::detail::turn* place = nullptr;
};

}  // namespace test
