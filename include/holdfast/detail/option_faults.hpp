// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_OPTION_FAULTS_HPP
#define HOLDFAST_DETAIL_OPTION_FAULTS_HPP

#include <cstdint>
#include <holdfast/clock.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::detail {

/// Collects what is wrong with a set of options, so that all of it is reported at once.
class option_faults {
 public:
  void add(std::string_view option, std::string_view value, std::string_view rule);
  void at_least(std::string_view option, duration value, duration least);
  void at_least(std::string_view option, std::uint64_t value, std::uint64_t least);
  void between(std::string_view option, double value, double low, double high);

  /// Throws `invalid_options` with every fault collected, if there is one.
  void raise_if_any(std::string_view where);

 private:
  std::vector<std::string> faults_;
};

}  // namespace holdfast::detail

#endif
