// SPDX-License-Identifier: BSL-1.0
// What <holdfast/format.hpp> prints.
#include <holdfast/format.hpp>

#include <catch2/catch_all.hpp>

#include <iomanip>
#include <sstream>
#include <stdexcept>

namespace hf = holdfast;

namespace {

std::string streamed(const auto& x) {
  std::ostringstream out;
  out << std::setw(12) << std::left << x << '|';
  return out.str();
}

}  // namespace

TEST_CASE("format: enumerators by their names", "[format]") {
  CHECK(fmt::format("{}", hf::verdict::request_fault) == "request_fault");
  CHECK(fmt::format("{} {}", hf::breaker_state::half_open, hf::errc::circuit_open) ==
        "half_open circuit_open");
  CHECK(fmt::format("{:>10}|", hf::quality::stale) == "     stale|");
  CHECK(fmt::format("{}", hf::policy_kind::circuit_breaker) == "circuit_breaker");
  CHECK(fmt::format("{}", hf::priority::background) == to_string(hf::priority::background));
  CHECK(streamed(hf::verdict::throttled) == "throttled   |");
  CHECK(streamed(hf::errc::shed) == "shed        |");
}

TEST_CASE("format: a failure by its message", "[format]") {
  const hf::failure refused(hf::errc::circuit_open, hf::policy_kind::circuit_breaker, "search");
  CHECK(fmt::format("{}", refused) == refused.message());
  CHECK(streamed(refused) == refused.message() + "|");
  const hf::failure thrown(std::make_exception_ptr(std::runtime_error("no route")));
  CHECK(fmt::format("<{:^10}>", thrown) == "< no route >");
}
