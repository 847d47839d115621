// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_FIRST_EXCEPTION_HPP
#define HOLDFAST_DETAIL_FIRST_EXCEPTION_HPP

#include <exception>

namespace holdfast::detail {

/// The exception that an `asio::multiple_exceptions` keeps, which a call throws if several things
/// that it did at the same time failed. Any other one is given back. Null if it keeps none.
/// Cost: a rethrow.
std::exception_ptr first_exception(const std::exception_ptr& exception) noexcept;

}  // namespace holdfast::detail

#endif
