// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "trial.hpp"

namespace gen {

using runner = verdict_of (*)(draw&);

/// What is to be drawn.
struct order {
  std::uint64_t seed = 1;
  std::uint64_t draws = 0;  ///< 0: as many as there is time for.
  std::chrono::seconds seconds{0};
  bool only = false;        ///< The one draw of this very seed.
  bool keep_going = false;  ///< Past failures: one of each kind is printed.
  bool real = false;        ///< On threads.
  std::chrono::seconds patience{20};  ///< With one trial, until it is said to hang.
  int repeats = 1;          ///< How often a draw is tried while it is shrunk.
};

/// Reads the command line; false if it makes no sense, and says so.
bool parse(int argc, char** argv, order& o);

/// Draws and runs, in a child process, so that one that crashes or hangs is a failure like another.
/// Prints what failed, shrunk. Returns what `main` returns.
int supervise(const order& o, runner run);

/// Ends a trial's process there and then, with what it has found.
[[noreturn]] void report_and_exit(const verdict_of& v);

/// Runs one trial in a process of its own.
class trial_process {
 public:
  trial_process(runner run, std::chrono::seconds patience) : run_(run), patience_(patience) {}
  verdict_of operator()(const draw& d) const;

 private:
  runner run_;
  std::chrono::seconds patience_;
};

/// Makes a draw that fails as simple as it can be, and still fails alike.
draw shrink(draw d, const std::string& kind, const trial_process& run, int repeats,
            std::chrono::seconds budget);

/// The draw as a test case, to be pasted into a file of tests.
std::string program_text(const draw& d, bool real, const verdict_of& v);

}  // namespace gen
