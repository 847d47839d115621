// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <boost/asio/multiple_exceptions.hpp>
#include <boost/system/generic_category.hpp>
#include <cerrno>
#include <holdfast/detail/failure_details.hpp>
#include <holdfast/detail/first_exception.hpp>
#include <holdfast/detail/format.hpp>
#include <holdfast/detail/timeout_terms.hpp>
#include <holdfast/failure.hpp>
#include <new>
#include <system_error>

#include "detail/thread_store.hpp"

namespace holdfast {

namespace {

using detail::failure_details;

struct failures;
using store = detail::thread_store<failures, sizeof(failure_details)>;

/// Stands in where no memory is left. Shared by everybody: never changed and never released.
failure_details out_of_memory{
    .code = {ENOMEM, boost::system::generic_category()}, .exception = nullptr, .policy_name = {}};

/// What an empty failure says.
const failure_details nothing;

failure_details* take() noexcept {
  void* const place = store::take();
  return place ? new (place) failure_details : &out_of_memory;
}

void give_back(failure_details* d) noexcept {
  d->~failure_details();
  store::give_back(d);
}

boost::system::error_code code_of(const std::exception_ptr& exception) noexcept {
  if (!exception) return make_error_code(errc::exception);
  try {
    std::rethrow_exception(exception);
  } catch (const boost::system::system_error& e) {
    return e.code();
  } catch (const std::system_error& e) {
    return e.code();
  } catch (const std::bad_alloc&) {
    return out_of_memory.code;
  } catch (const boost::asio::multiple_exceptions& several) {
    return code_of(several.first_exception());
  } catch (...) {
    return make_error_code(errc::exception);
  }
}

/// `what()` without the source location that Asio's codes carry, which names a template's signature.
std::string without_location(const boost::system::system_error& e) {
  const std::string_view what = e.what();
  const std::string located = e.code().what();
  if (!what.ends_with(located)) return std::string(what);
  return std::string(what.substr(0, what.size() - located.size())) + e.code().message();
}

std::string what_of(const std::exception_ptr& exception) {
  const std::exception_ptr first = detail::first_exception(exception);
  try {
    std::rethrow_exception(first ? first : exception);
  } catch (const boost::system::system_error& e) {
    return without_location(e);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

/// A timeout says how long it waited; all else is in the code.
std::string text_of(const failure& f) {
  if (f.policy() != policy_kind::timeout || f.code() != condition::timed_out) {
    return f.code().message();
  }
  std::string text = f.code().message();
  if (const auto allowed = f.time_allowed()) {
    text = fmt::format("no answer within {}", detail::readable_duration(*allowed));
  } else if (f.code() == errc::total_timeout) {
    text = "no answer before the caller's deadline";
  }
  if (f.overrun() > duration::zero()) {
    text += fmt::format("; the call went on for another {}",
                        detail::readable_duration(f.overrun()));
  }
  return text;
}

}  // namespace

failure::failure(boost::system::error_code code) noexcept : details_(take()) {
  if (details_ != &out_of_memory) details_->code = code;
}

failure::failure(std::exception_ptr exception) noexcept : details_(take()) {
  if (details_ == &out_of_memory) return;
  details_->code = code_of(exception);
  details_->exception = std::move(exception);
}

failure::failure(errc code, policy_kind policy, std::string_view policy_name,
                 std::optional<duration> retry_after) noexcept
    : details_(take()) {
  if (details_ == &out_of_memory) return;
  details_->code = make_error_code(code);
  details_->retry_after = retry_after.value_or(duration(-1));
  details_->policy = policy;
  details_->policy_name = short_name(policy_name);
}

failure::failure(const failure& other) noexcept : details_(other.details_) {
  if (details_) details_->owners.fetch_add(1, std::memory_order_relaxed);
}

void failure::release() noexcept {
  if (details_ == &out_of_memory) return;
  // The only owner needs no locked instruction to know that it is the last one.
  if (details_->owners.load(std::memory_order_acquire) == 1 ||
      details_->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    give_back(details_);
  }
}

const failure_details& failure::get() const noexcept {
  return details_ ? *details_ : nothing;
}

failure_details* failure::writable() noexcept {
  if (!details_) {
    details_ = take();
  } else if (details_->owners.load(std::memory_order_acquire) > 1) {
    const failure_details& shared = *details_;
    failure_details* const copy = take();
    if (copy != &out_of_memory) {
      copy->attempts = shared.attempts;
      copy->code = shared.code;
      copy->exception = shared.exception;
      copy->retry_after = shared.retry_after;
      copy->time_allowed = shared.time_allowed;
      copy->overrun = shared.overrun;
      copy->policy = shared.policy;
      copy->policy_name = shared.policy_name;
    }
    release();
    details_ = copy;
  }
  return details_ == &out_of_memory ? nullptr : details_;
}

const boost::system::error_code& failure::code() const noexcept { return get().code; }
const std::exception_ptr& failure::exception() const noexcept { return get().exception; }
policy_kind failure::policy() const noexcept { return get().policy; }
std::string_view failure::policy_name() const noexcept { return get().policy_name.view(); }
unsigned failure::attempts() const noexcept { return get().attempts; }

std::optional<duration> failure::retry_after() const noexcept {
  const duration d = get().retry_after;
  return d < duration::zero() ? std::nullopt : std::optional(d);
}

failure& failure::with_retry_after(duration hint) noexcept {
  if (hint < duration::zero()) return *this;
  if (auto* d = writable()) d->retry_after = hint;
  return *this;
}

std::optional<duration> failure::time_allowed() const noexcept {
  const duration d = get().time_allowed;
  return d < duration::zero() ? std::nullopt : std::optional(d);
}

duration failure::overrun() const noexcept { return get().overrun; }

void failure::set_time(std::optional<duration> allowed, duration overrun) noexcept {
  auto* const d = writable();
  if (!d) return;
  d->time_allowed = allowed.value_or(duration(-1));
  d->overrun = overrun > detail::timeout_tolerance ? overrun : duration::zero();
}

void failure::set_attempts(unsigned n) noexcept {
  if (attempts() == n) return;
  if (auto* d = writable()) d->attempts = n;
}

std::string failure::message() const {
  std::string text = exception() ? what_of(exception()) : text_of(*this);
  if (policy() != policy_kind::none) {
    text = policy_name().empty()
               ? fmt::format("{}: {}", to_string(policy()), text)
               : fmt::format("{} '{}': {}", to_string(policy()), policy_name(), text);
  }
  if (attempts() > 1) text += fmt::format(" (after {} attempts)", attempts());
  if (const auto after = retry_after()) {
    text += fmt::format(", retry after {}", detail::readable_duration(*after));
  }
  return text;
}

void failure::raise() const {
  if (exception()) std::rethrow_exception(exception());
  throw error(*this);
}

error::error(failure f)
    : system_error(f.code()), why_(std::move(f)), text_(why_.message()) {}

}  // namespace holdfast
