// SPDX-License-Identifier: BSL-1.0
// The outage lab: what do these policies make of that outage?
// Exit codes: 0; 1 where a file cannot be read or written; 2 for wrong arguments and wrong files.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <holdfast/invalid_options.hpp>
#include <holdfast/read_configuration.hpp>
#include <iterator>
#include <map>
#include <span>
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

/// The one of that name; null where it is not shipped.
const lab::shipped_file* shipped(std::span<const lab::shipped_file> all, std::string_view name) {
  const auto found = std::ranges::find(all, name, &lab::shipped_file::name);
  return found == all.end() ? nullptr : &*found;
}

void list() {
  const auto print = [](const lab::shipped_file& f) {
    fmt::print("{:<16}  {}\n", f.name, f.about);
  };
  fmt::print("Scenarios:\n");
  std::ranges::for_each(lab::shipped_scenarios(), print);
  fmt::print("\nPipelines:\n");
  std::ranges::for_each(lab::shipped_pipelines(), print);
}

void show(const std::string& name) {
  const lab::shipped_file* f = shipped(lab::shipped_scenarios(), name);
  if (!f) f = shipped(lab::shipped_pipelines(), name);
  if (!f) {
    throw lab::wrong_arguments(fmt::format("{}: is not shipped; --list names what is", name));
  }
  fmt::print("{}", f->json);
}

/// A shipped file, or one from the disk.
lab::source source_of(std::span<const lab::shipped_file> all, const std::string& name) {
  const lab::shipped_file* const f = shipped(all, name);
  if (!f && !std::filesystem::exists(name)) {
    throw file_error(fmt::format("{}: is no file, nor shipped; --list names what is", name));
  }
  return {name, f ? std::string(f->json) : content_of(name)};
}

/// What `read` makes of a text; its faults with the text's name before them.
auto read_as(const lab::source& from, const auto& read) {
  try {
    return read(from.text);
  } catch (const hf::invalid_options& e) {
    throw lab::wrong_arguments(fmt::format("{}: {}", from.name, e.what()));
  }
}

/// All services of all files, by name; of two with the same name the later one.
std::map<std::string, hf::service_options> pipelines_of(const std::vector<lab::source>& files) {
  std::map<std::string, hf::service_options> all;
  for (const lab::source& file : files) {
    const hf::configuration c =
        read_as(file, [](std::string_view json) { return hf::read_configuration(json); });
    for (const auto& [name, own] : c.services) all[name] = lab::with_defaults(own, c.defaults);
  }
  if (all.empty()) {
    throw lab::wrong_arguments("the files name no services: there is nothing to run");
  }
  return all;
}

/// The files that the command line names, the scenario's first; where it names no pipelines, those
/// that go with the scenario.
std::vector<lab::source> sources_of(const lab::options& o) {
  std::vector<lab::source> all{source_of(lab::shipped_scenarios(), o.scenario)};
  for (const std::string& name : o.pipelines) {
    all.push_back(source_of(lab::shipped_pipelines(), name));
  }
  if (o.pipelines.empty()) {
    const lab::shipped_file* const s = shipped(lab::shipped_scenarios(), o.scenario);
    const std::string_view with = s ? s->pipelines : lab::shipped_pipelines().front().name;
    all.push_back(source_of(lab::shipped_pipelines(), std::string(with)));
  }
  return all;
}

/// Tells on a terminal how far a run is.
class progress_line {
 public:
  progress_line(std::string name, std::size_t seconds)
      : name_(std::move(name)), seconds_(seconds), shown_(::isatty(STDERR_FILENO) == 1) {}
  ~progress_line() {
    if (shown_) fmt::print(stderr, "\r\033[K");
  }
  progress_line(const progress_line&) = delete;
  void operator()(std::size_t second) const {
    if (shown_) fmt::print(stderr, "\r{}: {} of {} s\033[K", name_, second, seconds_);
  }

 private:
  std::string name_;
  std::size_t seconds_;
  bool shown_;
};

void run(const lab::options& o) {
  const std::vector<lab::source> sources = sources_of(o);
  lab::scenario s = read_as(sources.front(), lab::read_scenario);
  if (o.seed) s.seed = *o.seed;
  const auto pipelines = pipelines_of({sources.begin() + 1, sources.end()});
  std::vector<lab::course> courses;
  for (const auto& [name, options] : pipelines) {
    const progress_line progress(
        fmt::format("{} ({} of {})", name, courses.size() + 1, pipelines.size()),
        static_cast<std::size_t>(std::chrono::ceil<std::chrono::seconds>(s.lasts).count()));
    courses.push_back(
        lab::run(s, name, options, [&](std::size_t second) { progress(second); }));
  }
  fmt::print("{}, seed {}\n\n{}", o.scenario, s.seed, lab::table(s, courses));
  if (o.html.empty()) return;
  write(o.html, lab::html(o.scenario, s, courses, sources));
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
