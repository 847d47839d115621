// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <boost/system/errc.hpp>
#include <holdfast/classifier.hpp>

namespace holdfast {

namespace {

bool is_bad_input(const failure& f) {
  return f.code() == boost::system::errc::invalid_argument ||
         f.code() == boost::system::errc::argument_out_of_domain;
}

}  // namespace

verdict default_classifier::operator()(const failure& f) const {
  if (f.policy() == policy_kind::timeout) return verdict::failure;
  // A lack of memory here says nothing of the service, and is not mended by asking again.
  if (f.code() == boost::system::errc::not_enough_memory) return verdict::neutral;
  return is_bad_input(f) ? verdict::request_fault : verdict::failure;
}

count_only::count_only(std::initializer_list<boost::system::error_condition> counted)
    : counted_(counted) {}

verdict count_only::operator()(const failure& f) const {
  const bool counted = std::ranges::any_of(
      counted_, [&](const boost::system::error_condition& c) { return f.code() == c; });
  return counted ? verdict::failure : verdict::request_fault;
}

}  // namespace holdfast
