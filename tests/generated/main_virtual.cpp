// SPDX-License-Identifier: BSL-1.0
// Draws trials, one thread and virtual time. docs/generated.md says how to read a failure.
#include "supervise.hpp"

int main(int argc, char** argv) {
  gen::order o;
  if (!gen::parse(argc, argv, o)) return 2;
  return gen::supervise(o, &gen::run_virtual);
}
