// SPDX-License-Identifier: BSL-1.0
// The outage lab: what do these policies make of that outage?
// Exit codes: 0; 1 where a file cannot be read or written; 2 for wrong arguments and wrong files.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <holdfast/invalid_options.hpp>
#include <holdfast/read_configuration.hpp>
#include <iterator>
#include <map>
#include <utility>

#include "experiment.hpp"
#include "options.hpp"
#include "report.hpp"
#include "scenario.hpp"
#include "shipped.hpp"

namespace {

namespace hf = holdfast;

struct file_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

std::string content_of(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (!in) throw file_error(fmt::format("{}: cannot be read", file));
  return text;
}

void write(const std::string& file, std::string_view text) {
  std::ofstream out(file, std::ios::binary);
  out << text << std::flush;
  if (!out) throw file_error(fmt::format("{}: cannot be written", file));
}

const lab::shipped_file* shipped(std::string_view name) {
  if (name == lab::shipped_pipelines().name) return &lab::shipped_pipelines();
  const auto all = lab::shipped_scenarios();
  const auto found = std::ranges::find(all, name, &lab::shipped_file::name);
  return found == all.end() ? nullptr : &*found;
}

void list() {
  for (const lab::shipped_file& f : lab::shipped_scenarios()) {
    fmt::print("{:<12}  {}\n", f.name, f.about);
  }
  fmt::print("{:<12}  {}\n", lab::shipped_pipelines().name, lab::shipped_pipelines().about);
}

void show(const std::string& name) {
  const lab::shipped_file* const f = shipped(name);
  if (!f) {
    throw lab::wrong_arguments(fmt::format("{}: is not shipped; --list names what is", name));
  }
  fmt::print("{}", f->json);
}

/// All services of all files, by name; of two with the same name the later one.
std::map<std::string, hf::service_options> pipelines_of(const std::vector<std::string>& files) {
  std::map<std::string, hf::service_options> all;
  const auto add = [&all](const std::string& file, std::string_view json) {
    try {
      const hf::configuration c = hf::read_configuration(json);
      for (const auto& [name, own] : c.services) all[name] = lab::with_defaults(own, c.defaults);
    } catch (const hf::invalid_options& e) {
      throw lab::wrong_arguments(fmt::format("{}: {}", file, e.what()));
    }
  };
  if (files.empty()) add("pipelines", lab::shipped_pipelines().json);
  for (const std::string& file : files) add(file, content_of(file));
  if (all.empty()) {
    throw lab::wrong_arguments("the files name no services: there is nothing to run");
  }
  return all;
}

lab::scenario scenario_of(const lab::options& o) {
  const lab::shipped_file* const f = shipped(o.scenario);
  try {
    lab::scenario s =
        lab::read_scenario(f ? std::string(f->json) : content_of(o.scenario));
    if (o.seed) s.seed = *o.seed;
    return s;
  } catch (const hf::invalid_options& e) {
    throw lab::wrong_arguments(fmt::format("{}: {}", o.scenario, e.what()));
  }
}

/// Tells on a terminal how far a run is.
class progress_line {
 public:
  progress_line(std::string name, std::size_t seconds)
      : name_(std::move(name)), seconds_(seconds), shown_(::isatty(STDERR_FILENO) == 1) {}
  ~progress_line() {
    if (shown_) fmt::print(stderr, "\r{:60}\r", "");
  }
  progress_line(const progress_line&) = delete;
  void operator()(std::size_t second) const {
    if (shown_) fmt::print(stderr, "\r{}: {} of {} s", name_, second, seconds_);
  }

 private:
  std::string name_;
  std::size_t seconds_;
  bool shown_;
};

void run(const lab::options& o) {
  const lab::scenario s = scenario_of(o);
  const auto pipelines = pipelines_of(o.pipelines);
  std::vector<lab::course> courses;
  for (const auto& [name, options] : pipelines) {
    const progress_line progress(name, static_cast<std::size_t>(s.lasts / std::chrono::seconds(1)));
    courses.push_back(
        lab::run(s, name, options, [&](std::size_t second) { progress(second); }));
  }
  fmt::print("{}, seed {}\n\n{}", o.scenario, s.seed, lab::table(s, courses));
  if (o.html.empty()) return;
  write(o.html, lab::html(o.scenario, s, courses));
  fmt::print("\nWritten: {}\n", o.html);
}

}  // namespace

int main(int argc, char** argv) try {
  const lab::options o = lab::parse_options({argv + 1, argv + argc});
  if (o.help) {
    fmt::print("{}", lab::usage);
  } else if (o.list) {
    list();
  } else if (!o.show.empty()) {
    show(o.show);
  } else {
    run(o);
  }
  return 0;
} catch (const file_error& e) {
  fmt::print(stderr, "outage_lab: {}\n", e.what());
  return 1;
} catch (const std::exception& e) {
  fmt::print(stderr, "outage_lab: {}\n", e.what());
  return 2;
}
