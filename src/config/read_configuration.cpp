// SPDX-License-Identifier: BSL-1.0
#include <holdfast/read_configuration.hpp>
#include <utility>

#include "json_reader.hpp"

namespace holdfast {

namespace {

namespace json = boost::json;

class reader : public detail::json_reader {
 public:
  void read_configuration(const json::value& v, configuration& c) {
    const json::object* const o = object("configuration", v);
    if (!o) return;
    check_keys("", *o, {"defaults", "services"});
    if (const json::value* defaults = o->if_contains("defaults")) {
      read("defaults", *defaults, c.defaults);
    }
    const json::value* const services = o->if_contains("services");
    if (!services) return;
    if (const json::object* const all = object("services", *services)) {
      for (const auto& [key, value] : *all) {
        service_options& s = c.services[std::string(std::string_view(key))];
        inherit(s, value, c.defaults);
        read(fmt::format("services.{}", std::string_view(key)), value, s);
      }
    }
  }

 private:
  /// A policy that a service says something of begins as the default one.
  static void inherit(service_options& s, const json::value& v, const service_options& defaults) {
    const json::object* const o = v.if_object();
    if (!o) return;
    detail::members<service_options>::visit([&](std::string_view name, auto member) {
      if (o->contains(name) && !(s.*member)) s.*member = defaults.*member;
    });
  }
};

}  // namespace

configuration read_configuration(std::string_view text, configuration base) {
  const json::value v = detail::parse_json("configuration", text);
  reader r;
  r.read_configuration(v, base);
  // What could not be read is as it was: the ranges of the rest are checked all the same.
  for (std::string& f : faults_of(base)) r.faults.push_back(std::move(f));
  if (!r.faults.empty()) throw invalid_options("configuration", std::move(r.faults));
  return base;
}

}  // namespace holdfast
