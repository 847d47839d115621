// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <holdfast/detail/links.hpp>
#include <holdfast/invalid_options.hpp>
#include <holdfast/policy/fallback.hpp>

namespace holdfast::detail {

step fallback_rule::consider(operation& op, verdict v) const {
  // The budget is asked last, and not for a link that the deadline would keep from starting.
  if (takes_over(op, v) && op.now() < op.limit.at && budget_.reserve(op)) return step::replace;
  budget_.on_failure(op.of_service(v));
  return step::go;
}

bool fallback_rule::takes_over(operation& op, verdict v) const {
  if (op.caller_cancelled()) return false;
  if (v == verdict::request_fault && !options_.on_request_fault) return false;
  if (!options_.only_if) return true;
  bool wanted = false;
  try {
    wanted = options_.only_if(op.error, v);
  } catch (...) {
  }
  op.start_edge_precisely();  // it has taken its time
  return wanted;
}

void fallback_rule::announce(operation& op) const {
  if (op.options.ledger) op.options.ledger->enter_link(options_.name, options_.quality);
}

void fallback_rule::describe(std::string& out) const {
  out += fmt::format("fallback '{}': {} answers", options_.name, to_string(options_.quality));
  if (options_.on_request_fault) out += ", on faults of the request too";
  if (options_.only_if) out += ", only if a predicate agrees";
  budget_.describe(out);
}

void check_link_options(bool given) {
  if (given) {
    throw invalid_options("fallback", {"call options: a link has those of the operation; give them to "
                                       "the chain that it is a link of"});
  }
}

}  // namespace holdfast::detail
