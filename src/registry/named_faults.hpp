// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/system/error_code.hpp>
#include <holdfast/failure.hpp>
#include <span>
#include <string>
#include <string_view>

namespace holdfast::detail {

/// A way in which services fail, as a configuration names it.
struct named_fault {
  std::string_view name;
  boost::system::error_code code;
};

/// Those that networks and servers have, by the names of POSIX; none of Holdfast's own, since a
/// service does not refuse as a policy does.
std::span<const named_fault> named_faults();

/// The name, or category, value and message where it has none.
std::string name_of_fault(const failure& f);

}  // namespace holdfast::detail
