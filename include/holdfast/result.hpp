// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_RESULT_HPP
#define HOLDFAST_RESULT_HPP

#include <boost/outcome/bad_access.hpp>
#include <boost/outcome/basic_result.hpp>
#include <concepts>
#include <holdfast/failure.hpp>
#include <utility>

namespace holdfast {

namespace detail {

/// What Outcome does on a wrong access: `.value()` of a failure rethrows what the call threw;
/// `.error()` of a value is a bug in the program.
struct raise_failure : BOOST_OUTCOME_V2_NAMESPACE::policy::base {
  template <class Result>
  static constexpr void wide_value_check(Result&& self) {
    if (!base::_has_value(std::forward<Result>(self))) {
      base::_error(std::forward<Result>(self)).raise();
    }
  }
  template <class Result>
  static constexpr void wide_error_check(Result&& self) {
    if (!base::_has_error(std::forward<Result>(self))) {
      throw BOOST_OUTCOME_V2_NAMESPACE::bad_result_access("no error");
    }
  }
};

}  // namespace detail

/// The value of an operation, or why there is none. Boost.Outcome's `basic_result`:
/// `has_value()`, `value()`, `error()`, `BOOST_OUTCOME_CO_TRY`, ...
/// `value()` of a failure rethrows the original exception unchanged, or throws `hf::error`.
template <class T>
using result =
    BOOST_OUTCOME_V2_NAMESPACE::basic_result<T, failure, detail::raise_failure>;

/// Returns the value, or `alternative` converted to its type. Outcome's results have no such member.
template <class T, class U>
  requires std::convertible_to<U, T>
T value_or(const result<T>& r, U&& alternative) {
  return r.has_value() ? r.assume_value() : static_cast<T>(std::forward<U>(alternative));
}
template <class T, class U>
  requires std::convertible_to<U, T>
T value_or(result<T>&& r, U&& alternative) {
  return r.has_value() ? std::move(r).assume_value() : static_cast<T>(std::forward<U>(alternative));
}

}  // namespace holdfast

#endif
