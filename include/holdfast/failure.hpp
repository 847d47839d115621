// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_FAILURE_HPP
#define HOLDFAST_FAILURE_HPP

#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <exception>
#include <holdfast/clock.hpp>
#include <holdfast/errc.hpp>
#include <holdfast/verdict.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace holdfast {

namespace detail {
struct failure_details;
}

/// Why an operation has no value. A plain value of one pointer: copies share what they say, and
/// changing one of them leaves the others as they are.
///
/// Cost: copying allocates nothing. Making one takes its details from a store of the thread, which
/// refills as failures die: a program that makes and handles failures at an even pace allocates
/// nothing. Where no memory is left at all a failure says just that. Thread safety: as an int;
/// copies in different threads are independent.
class failure {
 public:
  failure() noexcept = default;

  /// A failure of a call, by its error code.
  failure(boost::system::error_code code) noexcept;                // NOLINT(*-explicit-*)
  failure(errc code) noexcept : failure(make_error_code(code)) {}  // NOLINT(*-explicit-*)

  /// A failure of a call, by its exception. The code is the one that a `system_error` carries,
  /// `not_enough_memory` (of the generic category) for a `std::bad_alloc`, and `errc::exception`
  /// otherwise. Of an `asio::multiple_exceptions` (`co_await (a() && b())`) the first one counts.
  explicit failure(std::exception_ptr exception) noexcept;

  /// A refusal or a timeout by a policy. Names of more than 31 characters are cut.
  failure(errc code, policy_kind policy, std::string_view policy_name,
          std::optional<duration> retry_after = {}) noexcept;

  failure(const failure& other) noexcept;
  failure(failure&& other) noexcept : details_(std::exchange(other.details_, nullptr)) {}
  failure& operator=(failure other) noexcept {
    std::swap(details_, other.details_);
    return *this;
  }
  ~failure() {
    if (details_) [[unlikely]] release();
  }

  const boost::system::error_code& code() const noexcept;

  /// The exception that the call threw; null where the call reported an error code.
  const std::exception_ptr& exception() const noexcept;

  /// The policy that ended the operation; `policy_kind::none` where the call itself failed.
  policy_kind policy() const noexcept;
  std::string_view policy_name() const noexcept;

  /// How many attempts of the call were started before the operation ended; those of fallbacks are
  /// not counted.
  unsigned attempts() const noexcept;

  /// After how long a new try may succeed, where somebody knows it: the remaining time of an open
  /// circuit, or the hint of the service.
  std::optional<duration> retry_after() const noexcept;

  /// The time that the timeout allowed which ended the operation. None: another policy, the call or
  /// the caller's own deadline ended it.
  std::optional<duration> time_allowed() const noexcept;

  /// For how long a call that a timeout or a deadline ended went on after its time was up: it did
  /// not hear the cancellation. Zero if it ended in time.
  duration overrun() const noexcept;

  /// Attaches the service's own hint, for `retry` to honour. Negative hints are ignored.
  failure& with_retry_after(duration d) noexcept;

  /// Says who ended the operation, why, and until when, in one line.
  std::string message() const;

  /// Throws the original exception unchanged, or `hf::error` where there was none.
  [[noreturn]] void raise() const;

  /// For the engine: stamps the number of attempts.
  void set_attempts(unsigned n) noexcept;

  /// For the engine: stamps what `time_allowed` and `overrun` say.
  void set_time(std::optional<duration> allowed, duration overrun) noexcept;

 private:
  const detail::failure_details& get() const noexcept;
  /// The details, made if need be and nobody else's; null where there is no memory.
  detail::failure_details* writable() noexcept;
  void release() noexcept;

  detail::failure_details* details_ = nullptr;  // null: no code, nothing known
};

/// What `result<T>::value()` throws where the call did not throw: a `system_error` with the
/// failure.
class error : public boost::system::system_error {
 public:
  explicit error(failure f);
  const failure& why() const noexcept { return why_; }

  /// `failure::message()`, without the code's own text after it.
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  failure why_;
  std::string text_;
};

}  // namespace holdfast

#endif
