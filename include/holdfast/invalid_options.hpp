// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_INVALID_OPTIONS_HPP
#define HOLDFAST_INVALID_OPTIONS_HPP

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

/// Thrown where a policy or a pipeline is constructed with options out of range. Lists every fault
/// at once; each names the option, its value and what it may be.
class invalid_options : public std::invalid_argument {
 public:
  invalid_options(std::string_view where, std::vector<std::string> faults);

  /// One line per fault, as `max_attempts = 0: must be at least 1`.
  const std::vector<std::string>& faults() const noexcept { return faults_; }

 private:
  std::vector<std::string> faults_;
};

}  // namespace holdfast

#endif
