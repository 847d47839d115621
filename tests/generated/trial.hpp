// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "stack.hpp"

namespace gen {

/// One trial, as the choices that make it. What they mean is in plan.hpp and parts.hpp.
struct draw {
  std::uint64_t seed = 0;
  std::string stack;         ///< Letters, from the innermost.
  std::vector<tape> layers;  ///< Options: one for each letter, and the classifier's.
  tape place;
  std::vector<tape> clients;
  tape end;
  bool complete = false;  ///< Nothing is drawn any more: what is missing is zero.
};

/// What a draw means.
struct trial {
  gen::place place;
  std::vector<client> clients;
  ending end;
};

/// Letters of policies that are to be in no stack.
std::string& policies_left_out();

/// Draws one: the stack, and the choices of its parts as they are asked for.
draw fresh_draw(std::uint64_t seed, bool real);
/// Reads what is not the stack's; writes the tapes where they end and `more` is given.
trial read(draw& d, bool real, chance* more = nullptr);
/// Makes the stack. Throws `invalid_options` if its options do not go together.
std::unique_ptr<any_stack> make_stack(draw& d, materials& m);
/// Draws what is drawn only when the stack is made. False: the library refuses it.
bool complete(draw& d);

/// How a trial went: empty if all was as promised.
struct verdict_of {
  std::string kind;
  std::string what;
  bool skipped = false;  ///< Options that the library refuses.
};

/// Runs a trial: on one thread in virtual time, or on threads in real time.
verdict_of run_virtual(draw& d);
verdict_of run_on_threads(draw& d);

/// What a draw says, for people.
std::string describe(draw d, bool real);

}  // namespace gen
