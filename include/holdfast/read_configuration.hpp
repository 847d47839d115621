// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_READ_CONFIGURATION_HPP
#define HOLDFAST_READ_CONFIGURATION_HPP

#include <holdfast/configuration.hpp>
#include <string_view>

/// \file
/// Link `holdfast::config` for this.

namespace holdfast {

/// Reads a configuration from JSON (RFC 8259):
///
///     {"defaults": {"timeout": {"after": "2s"}},
///      "services": {"gpt-4": {"timeout": {"after": "30s"},
///                             "circuit_breaker": {"failure_rate": 0.5, "open_for": "1m30s"}},
///                   "mail": {}}}
///
/// A policy is an object with the members of its options struct; an enumeration is the name of its
/// value, a duration a string of whole numbers with the units `h`, `m`, `s`, `ms`, `us`, `ns`. What
/// is not said is as in `base`; failing that, for a service, as in the defaults, member by member;
/// failing that, as in the struct. What JSON cannot say, such as a predicate, comes from `base`.
///
/// Throws `invalid_options` that lists every fault with its place: of the syntax, of the structure,
/// of the values, and those that the policies themselves find.
configuration read_configuration(std::string_view json, configuration base = {});

}  // namespace holdfast

#endif
