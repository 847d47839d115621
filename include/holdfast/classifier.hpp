// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_CLASSIFIER_HPP
#define HOLDFAST_CLASSIFIER_HPP

#include <boost/system/error_condition.hpp>
#include <exception>
#include <holdfast/detail/first_exception.hpp>
#include <holdfast/failure.hpp>
#include <holdfast/verdict.hpp>
#include <initializer_list>
#include <optional>
#include <vector>

/// \file
/// A classifier tells what an outcome says about the health of the service. It is a function object
/// that takes `const T&`, `const failure&`, or both, and returns a `verdict` or a `classification`.
/// What it does not take is judged by the default: a value is a success, a failure is judged by
/// `default_classifier`. Refusals by policies and cancellations by the caller are neutral whatever
/// it says. It is called on the operation's executor, once per outcome, and from several threads at
/// once if the pipeline is; an exception out of it counts as `request_fault`.

namespace holdfast {

/// A verdict, and after how long the service wants to be asked again, if it said so.
struct classification {
  verdict outcome;
  std::optional<duration> retry_after;

  classification(verdict v, std::optional<duration> hint = {}) noexcept  // NOLINT(*-explicit-*)
      : outcome(v), retry_after(hint) {}
};

/// Judges failures as most services mean them:
/// - `request_fault`: the codes `std::errc::invalid_argument` and `argument_out_of_domain`;
/// - `neutral`: a lack of memory;
/// - `failure`: everything else, such as timeouts, system errors and exceptions.
/// `operation_aborted` is a `failure` unless the caller cancelled the operation: a pooled connection
/// that dies aborts its operations, too.
struct default_classifier {
  verdict operator()(const failure& f) const;
};

/// Counts only the given error codes or conditions as failures of the service; every other failure
/// is the caller's own and passes through uncounted.
///
///     .classify(hf::count_only{hf::condition::timed_out, boost::system::errc::connection_refused})
class count_only {
 public:
  count_only(std::initializer_list<boost::system::error_condition> counted);

  verdict operator()(const failure& f) const;

 private:
  std::vector<boost::system::error_condition> counted_;
};

/// Counts only exceptions of the given types, or of types derived from them, as failures of the
/// service, and timeouts by a policy. Of an `asio::multiple_exceptions` the first one counts as
/// well. Cost: a rethrow per type, and one more, for each failed call.
template <class... Exceptions>
struct count_only_exceptions {
  verdict operator()(const failure& f) const {
    if (f.policy() == policy_kind::timeout) return verdict::failure;
    return counts(f.exception()) || counts(detail::first_exception(f.exception()))
               ? verdict::failure
               : verdict::request_fault;
  }

 private:
  static bool counts(const std::exception_ptr& exception) {
    return exception && (matches<Exceptions>(exception) || ...);
  }
  template <class E>
  static bool matches(const std::exception_ptr& exception) {
    try {
      std::rethrow_exception(exception);
    } catch (const E&) {
      return true;
    } catch (...) {
      return false;
    }
  }
};

}  // namespace holdfast

#endif
