// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <holdfast/detail/format.hpp>
#include <holdfast/failure.hpp>

namespace holdfast {

short_name::short_name(std::string_view name) noexcept
    : size_(static_cast<std::uint8_t>(std::min(name.size(), capacity))) {
  name.copy(text_.data(), size_);
}

namespace {

boost::system::error_code code_of(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const boost::system::system_error& e) {
    return e.code();
  } catch (const std::system_error& e) {
    return e.code();
  } catch (...) {
    return make_error_code(errc::exception);
  }
}

std::string what_of(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an exception that is no std::exception";
  }
}

}  // namespace

failure::failure(std::exception_ptr exception)
    : code_(code_of(exception)), exception_(std::move(exception)) {}

failure::failure(errc code, policy_kind policy, std::string_view policy_name,
                 std::optional<duration> retry_after) noexcept
    : code_(make_error_code(code)),
      retry_after_(retry_after.value_or(duration(-1))),
      policy_(policy),
      name_(policy_name) {}

std::string failure::message() const {
  std::string text = exception_ ? what_of(exception_) : code_.message();
  if (policy_ != policy_kind::none) {
    text = name_.view().empty() ? fmt::format("{}: {}", to_string(policy_), text)
                                : fmt::format("{} '{}': {}", to_string(policy_), name_.view(), text);
  }
  if (attempts_ > 1) text += fmt::format(" (after {} attempts)", attempts_);
  if (const auto after = retry_after()) {
    text += fmt::format(", retry after {}", detail::format_duration(*after));
  }
  return text;
}

void failure::raise() const {
  if (exception_) std::rethrow_exception(exception_);
  throw error(*this);
}

error::error(failure f) : system_error(f.code(), f.message()), why_(std::move(f)) {}

}  // namespace holdfast
