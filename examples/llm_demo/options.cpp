// SPDX-License-Identifier: BSL-1.0
#include "options.hpp"

#include <fmt/format.h>

#include <charconv>

namespace demo {
namespace {

constexpr int shortest_run = 20;  // shorter, and a breaker has no time to open and to close again
constexpr int longest_run = 3600;

template <class Integer>
Integer parse_number(const std::string& name, const std::string& text, Integer least,
                     Integer most) {
  Integer value{};
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end || value < least || value > most) {
    throw usage_error(
        fmt::format("{} needs a whole number from {} to {}, not '{}'", name, least, most, text));
  }
  return value;
}

}  // namespace

options parse_options(const std::vector<std::string>& arguments) {
  options chosen;
  load_options load;
  bool is_load = false;
  for (std::size_t i = 0; i != arguments.size(); ++i) {
    const std::string& name = arguments[i];
    const auto value = [&]() -> const std::string& {
      if (i + 1 == arguments.size()) {
        throw usage_error(name + " needs a value");
      }
      return arguments[++i];
    };
    const auto rate = [&] { return parse_number(name, value(), 0, 100'000); };

    if (name == "--help" || name == "-h") {
      chosen.help = true;
    } else if (name == "--serve") {
      chosen.serve = true;
    } else if (name == "--port") {
      chosen.port = parse_number<std::uint16_t>(name, value(), 0, 65535);
    } else if (name == "--seconds") {
      chosen.seconds = parse_number(name, value(), shortest_run, longest_run);
    } else if (name == "--seed") {
      chosen.seed = parse_number<std::uint64_t>(name, value(), 0, UINT64_MAX);
    } else if (name == "--load") {
      is_load = true;
      load.port = parse_number<std::uint16_t>(name, value(), 1, 65535);
    } else if (name == "--load-seconds") {
      load.seconds = parse_number(name, value(), 1, longest_run);
    } else if (name == "--asks") {
      load.asks_per_second = rate();
    } else if (name == "--histories") {
      load.histories_per_second = rate();
    } else {
      throw usage_error(fmt::format("unknown argument '{}'", name));
    }
  }
  if (is_load) {
    load.seed = chosen.seed;
    chosen.load = load;
  }
  return chosen;
}

std::vector<std::string> load_arguments(const load_options& load) {
  return {"--load",         fmt::format("{}", load.port),
          "--load-seconds", fmt::format("{}", load.seconds),
          "--asks",         fmt::format("{:.0f}", load.asks_per_second),
          "--histories",    fmt::format("{:.0f}", load.histories_per_second),
          "--seed",         fmt::format("{}", load.seed)};
}

std::string help_text() {
  return fmt::format(
      R"(A chat service keeps answering while its providers of language models fall over.

usage: llm_demo [--seconds N] [--seed N] [--port N]
       llm_demo --serve [--port N]

Without --serve: sends the same load to two services, one protected by Holdfast and one not,
breaks and mends their providers meanwhile, prints a line every second and a summary at the end.
Exits 0 if the protected service held and the other did not.

  --seconds N  length of the run, {} to {} (default 45)
  --seed N     for all that is random (default 1)
  --port N     port of the protected service (default: the system chooses)
  --serve      only serve, without any load, until Ctrl-C, and say what to try with curl
  --help       print this

To send load to a service that is already up:
       llm_demo --load PORT [--load-seconds N] [--asks PER_SECOND] [--histories PER_SECOND]
)",
      shortest_run, longest_run);
}

}  // namespace demo
