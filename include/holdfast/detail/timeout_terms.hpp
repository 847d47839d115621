// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_TIMEOUT_TERMS_HPP
#define HOLDFAST_DETAIL_TIMEOUT_TERMS_HPP

#include <boost/asio/cancellation_type.hpp>
#include <holdfast/clock.hpp>
#include <holdfast/errc.hpp>
#include <holdfast/failure.hpp>
#include <string>

namespace holdfast::detail {

/// What a timeout says where it is in force: to the operations below it, and in its failure.
struct timeout_terms {
  std::string name;
  duration after;
  errc code;
  boost::asio::cancellation_type_t cancellation;

  /// The failure of an operation that went on for `overrun` after the time was up.
  failure expired(duration overrun) const noexcept {
    failure f(code, policy_kind::timeout, name);
    f.set_time(after, overrun);
    return f;
  }
};

/// An operation that ends so long after its time has not overrun it: it takes some milliseconds to
/// wake a thread.
inline constexpr duration timeout_tolerance = std::chrono::milliseconds(10);

}  // namespace holdfast::detail

#endif
