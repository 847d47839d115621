// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_FAILURE_HPP
#define HOLDFAST_FAILURE_HPP

#include <array>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <exception>
#include <holdfast/clock.hpp>
#include <holdfast/errc.hpp>
#include <holdfast/verdict.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

/// The name of a policy, copied into its failures so that they may outlive it. Longer names are cut.
class short_name {
 public:
  static constexpr std::size_t capacity = 31;

  short_name() noexcept : size_(0) {}
  explicit short_name(std::string_view name) noexcept;

  std::string_view view() const noexcept { return {text_.data(), size_}; }

 private:
  std::uint8_t size_;
  // Only the first `size_` characters are ever read: an empty name costs one byte to make.
  std::array<char, capacity> text_;
};

/// Why an operation has no value. A plain value; copying allocates nothing.
class failure {
 public:
  failure() noexcept = default;

  /// A failure of a call, by its error code.
  failure(boost::system::error_code code) noexcept : code_(code) {}  // NOLINT(*-explicit-*)
  failure(errc code) noexcept : code_(make_error_code(code)) {}      // NOLINT(*-explicit-*)

  /// A failure of a call, by its exception. The code is the one that a `system_error` carries, and
  /// `errc::exception` otherwise.
  explicit failure(std::exception_ptr exception);

  /// A refusal or a timeout by a policy.
  failure(errc code, policy_kind policy, std::string_view policy_name,
          std::optional<duration> retry_after = {}) noexcept;

  const boost::system::error_code& code() const noexcept { return code_; }

  /// The exception that the call threw; null where the call reported an error code.
  const std::exception_ptr& exception() const noexcept { return exception_; }

  /// The policy that ended the operation; `policy_kind::none` where the call itself failed.
  policy_kind policy() const noexcept { return policy_; }
  std::string_view policy_name() const noexcept { return name_.view(); }

  /// How many attempts of the call were started before the operation ended; those of fallbacks are
  /// not counted.
  unsigned attempts() const noexcept { return attempts_; }

  /// After how long a new try may succeed, where somebody knows it: the remaining time of an open
  /// circuit, or the hint of the service.
  std::optional<duration> retry_after() const noexcept {
    return retry_after_ < duration::zero() ? std::nullopt : std::optional(retry_after_);
  }

  /// Attaches the service's own hint, for `retry` to honour. Negative hints are ignored.
  failure& with_retry_after(duration d) noexcept {
    if (d >= duration::zero()) retry_after_ = d;
    return *this;
  }

  /// Says who ended the operation, why, and until when, in one line.
  std::string message() const;

  /// Throws the original exception unchanged, or `hf::error` where there was none.
  [[noreturn]] void raise() const;

  /// For the engine: stamps the number of attempts.
  void set_attempts(unsigned n) noexcept { attempts_ = n; }

 private:
  boost::system::error_code code_;
  std::exception_ptr exception_;
  duration retry_after_{-1};
  unsigned attempts_ = 0;
  policy_kind policy_ = policy_kind::none;
  short_name name_;
};

/// What `result<T>::value()` throws where the call did not throw: a `system_error` with the failure.
class error : public boost::system::system_error {
 public:
  explicit error(failure f);
  const failure& why() const noexcept { return why_; }

 private:
  failure why_;
};

}  // namespace holdfast

#endif
