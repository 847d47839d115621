// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <holdfast/short_name.hpp>

namespace holdfast {

short_name::short_name(std::string_view name) noexcept
    : size_(static_cast<std::uint8_t>(std::min(name.size(), capacity))) {
  name.copy(text_.data(), size_);
}

}  // namespace holdfast
