// SPDX-License-Identifier: BSL-1.0
// Draws trials, on threads and in real time: for the sanitizers. docs/generated.md says how to read
// a failure.
#include "supervise.hpp"

int main(int argc, char** argv) {
  gen::order o;
  o.real = true;
  o.repeats = 4;
  o.patience = std::chrono::seconds(120);
  if (!gen::parse(argc, argv, o)) return 2;
  gen::source::longest() = std::chrono::milliseconds(150);
  return gen::supervise(o, &gen::run_on_threads);
}
