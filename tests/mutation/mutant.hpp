// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_TESTS_MUTATION_MUTANT_HPP
#define HOLDFAST_TESTS_MUTATION_MUTANT_HPP

#include <cstdio>
#include <cstdlib>

// Included first in whatever is compiled with mutants. Nothing of the standard library that a test
// may replace, as the models do with the atomics.
namespace mutation {

/// Which mutant this run of the program tries, and which its code comes by.
struct run {
  static constexpr int most = 200'000;
  int tried = 0;  // none has the number 0
  const char* record = nullptr;
  volatile unsigned char reached[most] = {};

  run() {
    if (const char* number = std::getenv("HF_MUTANT")) tried = std::atoi(number);
    record = std::getenv("HF_MUTANTS_REACHED");
  }
  run(const run&) = delete;
  run& operator=(const run&) = delete;
  ~run() {
    std::FILE* file = record ? std::fopen(record, "w") : nullptr;
    if (file == nullptr) return;
    for (int n = 0; n < most; ++n) {
      if (reached[n] != 0) std::fprintf(file, "%d\n", n);
    }
    std::fclose(file);
  }
};
inline run this_run;

/// Whether the program is to behave as this mutant. Never while it is compiled.
[[gnu::always_inline]] constexpr bool tries(int number) noexcept {
  if (__builtin_is_constant_evaluated()) return false;
  this_run.reached[number] = 1;
  return this_run.tried == number;
}

}  // namespace mutation

#define HF_MUTANT(number) (::mutation::tries(number))

#endif
