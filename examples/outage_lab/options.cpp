// SPDX-License-Identifier: BSL-1.0
#include "options.hpp"

#include <fmt/format.h>

#include <charconv>

namespace lab {

const char* const usage =
    "outage_lab [--html FILE] [--seed N] SCENARIO [PIPELINES...]\n"
    "\n"
    "Runs a scenario through pipelines, in virtual time, and prints what became of the calls.\n"
    "\n"
    "SCENARIO    the name of a shipped one, or a JSON file\n"
    "PIPELINES   names of shipped ones, or JSON files as a registry reads them: each service is\n"
    "            one pipeline; none: the shipped ones that go with the scenario\n"
    "--html FILE writes a report with plots, one file that needs nothing else\n"
    "--seed N    instead of the scenario's: another run, which can be repeated\n"
    "--list      names what is shipped\n"
    "--show NAME prints a shipped scenario, or the shipped pipelines, to begin from\n";

options parse_options(const std::vector<std::string>& arguments) {
  options o;
  const auto value = [&](std::size_t& i) -> const std::string& {
    if (i + 1 == arguments.size()) {
      throw wrong_arguments(fmt::format("{} needs a value", arguments[i]));
    }
    return arguments[++i];
  };
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& a = arguments[i];
    if (a == "--help" || a == "-h") {
      o.help = true;
    } else if (a == "--list") {
      o.list = true;
    } else if (a == "--show") {
      o.show = value(i);
    } else if (a == "--html") {
      o.html = value(i);
    } else if (a == "--seed") {
      const std::string& text = value(i);
      std::uint64_t seed = 0;
      const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), seed);
      if (ec != std::errc() || end != text.data() + text.size()) {
        throw wrong_arguments(fmt::format("--seed: must be a whole number, is {}", text));
      }
      o.seed = seed;
    } else if (a.size() > 1 && a.front() == '-') {
      throw wrong_arguments(fmt::format("{}: is not known; --help names what is", a));
    } else if (o.scenario.empty()) {
      o.scenario = a;
    } else {
      o.pipelines.push_back(a);
    }
  }
  if (!o.help && !o.list && o.show.empty() && o.scenario.empty()) {
    throw wrong_arguments("no scenario given; --list names those that are shipped");
  }
  return o;
}

}  // namespace lab
