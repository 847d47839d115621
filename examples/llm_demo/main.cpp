// SPDX-License-Identifier: BSL-1.0
//
// A chat service keeps answering while the providers it depends on fall over. See help_text().
#include "options.hpp"
#include "scenario.hpp"

#include <boost/system/system_error.hpp>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <exception>

namespace {

/// Unanswered requests pile up on purpose here, and each holds a descriptor on either side. The
/// usual soft limit of 1024 would spoil the run for a reason that has nothing to do with it.
void allow_descriptors() {
  constexpr ::rlim_t needed = 4096;
  ::rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= needed) {
    return;
  }
  limit.rlim_cur = std::min(needed, limit.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < needed) {
    fmt::print(stderr,
               "llm_demo: only {} open files are allowed here, {} would be better: if the run "
               "fails, raise the limit (ulimit -Hn).\n",
               limit.rlim_cur, needed);
  }
}

int run(const demo::options& chosen) {
  if (chosen.help) {
    fmt::print("{}", demo::help_text());
    return 0;
  }
  allow_descriptors();
  if (chosen.load) {
    return demo::run_load(*chosen.load);
  }
  return chosen.serve ? demo::serve(chosen) : demo::run_scenario(chosen);
}

}  // namespace

int main(int argc, char** argv) {
  demo::options chosen;
  try {
    chosen = demo::parse_options({argv + 1, argv + argc});
    return run(chosen);
  } catch (const demo::usage_error& e) {
    fmt::print(stderr, "llm_demo: {}. Try --help.\n", e.what());
    return 2;
  } catch (const boost::system::system_error& e) {
    if (e.code() == boost::system::errc::address_in_use) {
      fmt::print(stderr,
                 "llm_demo: port {} is in use. Choose another with --port N, or leave --port "
                 "out and the system chooses a free one.\n",
                 chosen.port);
    } else if (e.code() == boost::system::errc::permission_denied && chosen.port != 0) {
      fmt::print(stderr,
                 "llm_demo: not allowed to listen on port {}. Choose one from 1024 up with "
                 "--port N.\n",
                 chosen.port);
    } else {
      fmt::print(stderr, "llm_demo: {}\n", e.what());
    }
  } catch (const std::exception& e) {
    fmt::print(stderr, "llm_demo: {}\n", e.what());
  }
  return 1;
}
