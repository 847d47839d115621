// SPDX-License-Identifier: BSL-1.0
#include <holdfast/errc.hpp>
#include <string>

namespace holdfast {

std::string_view to_string(errc e) noexcept {
  switch (e) {
    case errc::attempt_timeout: return "attempt_timeout";
    case errc::total_timeout: return "total_timeout";
    case errc::cancelled: return "cancelled";
    case errc::circuit_open: return "circuit_open";
    case errc::circuit_isolated: return "circuit_isolated";
    case errc::bulkhead_full: return "bulkhead_full";
    case errc::rate_limited: return "rate_limited";
    case errc::shed: return "shed";
    case errc::budget_exhausted: return "budget_exhausted";
    case errc::deadline_too_near: return "deadline_too_near";
    case errc::shutting_down: return "shutting_down";
    case errc::too_many_detached: return "too_many_detached";
    case errc::exception: return "exception";
    case errc::too_heavy: return "too_heavy";
    case errc::no_key: return "no_key";
  }
  return "unknown";
}

namespace {

std::string_view sentence(errc e) noexcept {
  switch (e) {
    case errc::attempt_timeout: return "the attempt timed out";
    case errc::total_timeout: return "the operation timed out";
    case errc::cancelled: return "the caller cancelled the operation";
    case errc::circuit_open: return "the circuit is open";
    case errc::circuit_isolated: return "the circuit was isolated by hand";
    case errc::bulkhead_full: return "the bulkhead is full";
    case errc::rate_limited: return "the rate limit is reached";
    case errc::shed: return "the call was shed under load";
    case errc::budget_exhausted: return "the retry budget is exhausted";
    case errc::deadline_too_near: return "no time was left to start an attempt";
    case errc::shutting_down: return "the service is shutting down";
    case errc::too_many_detached: return "too many abandoned attempts are still running";
    case errc::exception: return "the call threw an exception";
    case errc::too_heavy: return "the call weighs more than the limit";
    case errc::no_key: return "the operation has no key for the cache";
  }
  return "unknown holdfast error";
}

bool is_rejection(errc e) noexcept {
  switch (e) {
    case errc::circuit_open:
    case errc::circuit_isolated:
    case errc::bulkhead_full:
    case errc::rate_limited:
    case errc::shed:
    case errc::budget_exhausted:
    case errc::deadline_too_near:
    case errc::shutting_down:
    case errc::too_heavy:
    case errc::too_many_detached: return true;
    case errc::attempt_timeout:
    case errc::total_timeout:
    case errc::cancelled:
    case errc::exception:
    case errc::no_key: return false;
  }
  return false;
}

bool is_timeout(errc e) noexcept {
  return e == errc::attempt_timeout || e == errc::total_timeout;
}

namespace generic = boost::system::errc;

class errc_category final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "holdfast"; }

  std::string message(int value) const override {
    return std::string(sentence(static_cast<errc>(value)));
  }

  boost::system::error_condition default_error_condition(int value) const noexcept override {
    const auto e = static_cast<errc>(value);
    if (is_timeout(e)) return make_error_condition(generic::timed_out);
    if (e == errc::cancelled) return make_error_condition(generic::operation_canceled);
    if (is_rejection(e)) return make_error_condition(generic::resource_unavailable_try_again);
    return {value, *this};
  }
};

class condition_category_t final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "holdfast.condition"; }

  std::string message(int value) const override {
    switch (static_cast<condition>(value)) {
      case condition::rejected: return "rejected by a policy";
      case condition::timed_out: return "timed out";
      case condition::cancelled: return "cancelled by the caller";
    }
    return "unknown holdfast condition";
  }

  bool equivalent(const boost::system::error_code& code, int value) const noexcept override {
    if (code.category() != holdfast::error_category()) return false;
    const auto e = static_cast<errc>(code.value());
    switch (static_cast<condition>(value)) {
      case condition::rejected: return is_rejection(e);
      case condition::timed_out: return is_timeout(e);
      case condition::cancelled: return e == errc::cancelled;
    }
    return false;
  }
};

}  // namespace

const boost::system::error_category& error_category() noexcept {
  static const errc_category instance;
  return instance;
}

const boost::system::error_category& condition_category() noexcept {
  static const condition_category_t instance;
  return instance;
}

}  // namespace holdfast
