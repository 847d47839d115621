// SPDX-License-Identifier: BSL-1.0
#include "named_faults.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/error.hpp>

namespace holdfast::detail {

std::span<const named_fault> named_faults() {
  namespace error = boost::asio::error;
  static const std::array all{
      named_fault{"broken_pipe", error::make_error_code(error::broken_pipe)},
      named_fault{"connection_aborted", error::make_error_code(error::connection_aborted)},
      named_fault{"connection_refused", error::make_error_code(error::connection_refused)},
      named_fault{"connection_reset", error::make_error_code(error::connection_reset)},
      named_fault{"end_of_file", error::make_error_code(error::eof)},
      named_fault{"host_not_found", error::make_error_code(error::host_not_found)},
      named_fault{"host_unreachable", error::make_error_code(error::host_unreachable)},
      named_fault{"network_down", error::make_error_code(error::network_down)},
      named_fault{"network_unreachable", error::make_error_code(error::network_unreachable)},
      named_fault{"timed_out", error::make_error_code(error::timed_out)},
      named_fault{"try_again", error::make_error_code(error::try_again)},
  };
  return all;
}

std::string name_of_fault(const failure& f) {
  const auto all = named_faults();
  const auto found = std::ranges::find(all, f.code(), &named_fault::code);
  if (found != all.end()) return std::string(found->name);
  return fmt::format("{}:{} ({})", f.code().category().name(), f.code().value(), f.message());
}

}  // namespace holdfast::detail
