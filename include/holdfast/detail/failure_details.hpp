// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_FAILURE_DETAILS_HPP
#define HOLDFAST_DETAIL_FAILURE_DETAILS_HPP

#include <boost/system/error_code.hpp>
#include <exception>
#include <holdfast/clock.hpp>
#include <holdfast/detail/sync.hpp>
#include <holdfast/short_name.hpp>
#include <holdfast/verdict.hpp>

namespace holdfast::detail {

/// What the copies of a failure share. Never changed while there is more than one of them.
struct failure_details {
  sync::atomic<unsigned> owners{1};
  unsigned attempts = 0;
  boost::system::error_code code;
  std::exception_ptr exception;
  duration retry_after{-1};
  duration time_allowed{-1};
  duration overrun{0};
  policy_kind policy = policy_kind::none;
  short_name policy_name;
};

}  // namespace holdfast::detail

#endif
