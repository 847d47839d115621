// SPDX-License-Identifier: BSL-1.0
// What the property tests have in common. RapidCheck makes up the cases and shrinks one that fails.
#pragma once

#include <rapidcheck.h>
#include <rapidcheck/detail/Configuration.h>
#include <rapidcheck/detail/TestListenerAdapter.h>
#include <rapidcheck/state.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

namespace test {

/// How many cases are tried, and how large they grow: for a list of commands, its length.
struct cases {
  int count = 500;
  int size = 100;
};

/// Whether a property holds. Where it does not, the shrunk case is printed, and what to put into
/// RC_PARAMS to see that case again.
///
/// The cases are the same on every run, so that a test that fails fails again. RC_PARAMS, in
/// RapidCheck's words, asks for others, or for more: `seed=1 max_success=100000`.
template <class Property>
bool holds(const std::string& what, cases n, Property&& property) {
  rc::detail::Configuration c;
  c.testParams.seed = 20'230'911;
  c.testParams.maxSuccess = n.count;
  c.testParams.maxSize = n.size;
  if (const char* given = std::getenv("RC_PARAMS")) c = rc::detail::configFromString(given, c);
  rc::detail::TestListenerAdapter nobody_listens;
  const auto result = rc::detail::checkTestable(property, rc::detail::TestMetadata{what, what},
                                                c.testParams, nobody_listens, c.reproduce);
  if (result.template is<rc::detail::SuccessResult>()) return true;
  std::cerr << what << ": ";
  rc::detail::printResultMessage(result, std::cerr);
  if (result.template is<rc::detail::FailureResult>()) {
    c.reproduce = {{what, result.template get<rc::detail::FailureResult>().reproduce}};
    std::cerr << "\nRC_PARAMS=\"" << rc::detail::configToMinimalString(c) << "\"\n";
  }
  return false;
}

/// A generator of one kind of command, which is made up for the state that the model is in.
template <class Command, class Model>
auto make(const Model& m) {
  using any = typename Command::CommandType;
  return rc::gen::exec([m] { return std::shared_ptr<const any>(std::make_shared<Command>(m)); });
}

/// A whole number from `low` to below `end`: all alike, in small cases too, where RapidCheck's own
/// range is a small part of it.
template <class Number>
rc::Gen<Number> below(Number low, Number end) {
  return rc::gen::resize(rc::kNominalSize, rc::gen::inRange<Number>(low, end));
}
/// A whole number of `low` to `high`.
inline unsigned number(unsigned low, unsigned high) { return *below(low, high + 1); }
inline bool maybe(double chance) { return number(1, 100) <= chance * 100; }

/// One step of a test, which makes of the numbers what it likes; each is below a thousand.
struct step {
  unsigned what = 0;
  unsigned a = 0;
  unsigned b = 0;
};
inline void showValue(const step& s, std::ostream& os) {
  os << s.what << '/' << s.a << '/' << s.b;
}
inline std::vector<step> any_steps() {
  const auto small = below(0u, 1000u);
  return *rc::gen::container<std::vector<step>>(
      rc::gen::exec([small] { return step{*small, *small, *small}; }));
}

/// Takes one out of a vector.
template <class Vector>
auto take_out(Vector& from, std::size_t which) {
  auto one = std::move(from[which]);
  from.erase(from.begin() + static_cast<std::ptrdiff_t>(which));
  return one;
}

}  // namespace test
