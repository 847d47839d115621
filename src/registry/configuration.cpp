// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <holdfast/configuration.hpp>
#include <holdfast/invalid_options.hpp>

#include "option_members.hpp"
#include "policy_objects.hpp"

namespace holdfast {

namespace {

// A policy knows best what it accepts: one is made and thrown away.
void try_out(const timeout& o) { detail::timeout_layer(o, false); }
void try_out(const retry& o) { detail::retry_layer{o}; }
template <class Options>
void try_out(const Options& o) {
  detail::make_object(o, time_point());
}

void check(const std::string& path, const service_options& o, std::vector<std::string>& faults) {
  detail::members<service_options>::visit([&](std::string_view policy, auto member) {
    if (!(o.*member)) return;
    try {
      try_out(*(o.*member));
    } catch (const invalid_options& e) {
      for (const std::string& f : e.faults()) {
        faults.push_back(fmt::format("{}.{}.{}", path, policy, f));
      }
    }
  });
}

}  // namespace

std::vector<std::string> faults_of(const configuration& c) {
  std::vector<std::string> faults;
  check("defaults", c.defaults, faults);
  for (const auto& [name, options] : c.services) {
    if (name.empty()) faults.push_back("services: the name of a service is empty");
    check("services." + name, options, faults);
  }
  return faults;
}

}  // namespace holdfast
