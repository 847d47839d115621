// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_TESTS_MODEL_WAITER_HPP
#define HOLDFAST_TESTS_MODEL_WAITER_HPP

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/execution.hpp>
#include <holdfast/detail/turn.hpp>

#include "explore.hpp"

namespace model {

namespace asio = boost::asio;
namespace hf = holdfast;

/// An executor that runs what is posted there and then: what resumes a thread of a model does no
/// more than ring its bell.
struct at_once {
  template <class F>
  void execute(F f) const {
    std::move(f)();
  }
  static constexpr asio::execution::blocking_t::never_t query(asio::execution::blocking_t) {
    return {};
  }
  bool operator==(const at_once&) const = default;
};

/// What a suspended operation leaves behind.
struct resumed_by_bell {
  using executor_type = at_once;
  at_once get_executor() const noexcept { return {}; }
  void operator()() const {
    frame->read();
    rings->ring();
  }
  bell* rings;
  const payload* frame;  // of the coroutine, as it was when it suspended
};

/// One thread's wait, as an operation waits.
struct waiter {
  explicit waiter(bell& b) : rings(b) {}

  hf::detail::turn& open(hf::time_service& time) {
    place.wait.prepare(time, signal.slot());
    return place;
  }
  /// Suspends; with `cancel` the caller cancels it right away.
  hf::detail::wait_end wait(hf::time_point until = hf::never, bool cancel = false) {
    frame.write(1);
    place.wait.start(until, resumed_by_bell{&rings, &frame});
    if (cancel) signal.emit(asio::cancellation_type::total);
    rings.wait();
    frame.write(2);
    return place.wait.finish();
  }

  bell& rings;
  payload frame;
  asio::cancellation_signal signal;
  hf::detail::turn place;
};

}  // namespace model

#endif
