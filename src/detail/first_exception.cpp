// SPDX-License-Identifier: BSL-1.0
#include <boost/asio/multiple_exceptions.hpp>
#include <holdfast/detail/first_exception.hpp>

namespace holdfast::detail {

std::exception_ptr first_exception(const std::exception_ptr& exception) noexcept {
  if (!exception) return nullptr;
  try {
    std::rethrow_exception(exception);
  } catch (const boost::asio::multiple_exceptions& several) {
    return first_exception(several.first_exception());
  } catch (...) {
    return exception;
  }
}

}  // namespace holdfast::detail
