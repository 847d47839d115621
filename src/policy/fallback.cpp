// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <holdfast/policy/fallback.hpp>

namespace holdfast::detail {

step fallback_rule::consider(operation& op, verdict v) const {
  if (op.caller_cancelled()) return step::go;
  if (v == verdict::request_fault && !options_.on_request_fault) return step::go;
  if (options_.only_if) {
    try {
      if (!options_.only_if(op.error, v)) return step::go;
    } catch (...) {
      return step::go;
    }
  }
  return step::replace;
}

void fallback_rule::announce(operation& op) const {
  if (op.options.ledger) op.options.ledger->enter_link(options_.name, options_.quality);
}

void fallback_rule::describe(std::string& out) const {
  out += fmt::format("fallback '{}': {} answers", options_.name, to_string(options_.quality));
  if (options_.on_request_fault) out += ", on faults of the request too";
  if (options_.only_if) out += ", only if a predicate agrees";
}

}  // namespace holdfast::detail
