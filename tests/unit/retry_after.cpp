// SPDX-License-Identifier: BSL-1.0
#include <catch2/catch_all.hpp>
#include <holdfast/retry_after.hpp>
#include <string>

namespace hf = holdfast;
using namespace std::chrono_literals;
using std::chrono::sys_days;
using std::chrono::sys_seconds;
using std::chrono::system_clock;
using hint = std::optional<hf::duration>;

namespace {

constexpr sys_seconds noon = sys_days(std::chrono::year(2026) / 11 / 22) + 12h;
constexpr system_clock::time_point now = noon;

hint header(std::string_view value) { return hf::parse_retry_after(value, now); }

}  // namespace

TEST_CASE("bug 35: Retry-After, the whole table", "[conformance]") {
  struct row {
    std::string_view value;
    hint expected;
  };
  const auto r = GENERATE(values<row>({
      // Seconds.
      {"0", 0s},
      {"1", 1s},
      {"120", 120s},
      {"007", 7s},
      {" 30\t", 30s},
      {"1.5", 1500ms},
      {"0.0000000001", 1ns},  // up, never early
      {"0.000", 0s},
      {"86400", 24h},
      {"2026", 2026s},  // a number of seconds, no year
      {"1994", 1994s},
      {"20261122", 20261122s},
      {"1763812800", 1763812800s},  // a time stamp is no date: the bound of the user's holds
      {"9223372036", 9223372036s},
      {"9223372037", hf::duration::max()},
      {"99999999999999999999999999", hf::duration::max()},
      {"9223372036.999999999", hf::duration::max()},
      // Missing or malformed: no hint.
      {"", {}},
      {" ", {}},
      {"-1", {}},
      {"-0", {}},
      {"+5", {}},
      {"5s", {}},
      {"5,6", {}},
      {"5 6", {}},
      {"1.", {}},
      {".5", {}},
      {"1e3", {}},
      {"0x10", {}},
      {"abc", {}},
      {"NaN", {}},
      {"inf", {}},
      {"120\r\n", {}},
      {std::string_view("1\0002", 3), {}},
      // Dates.
      {"Sun, 22 Nov 2026 12:00:00 GMT", 0s},
      {"Sun, 22 Nov 2026 12:00:01 GMT", 1s},
      {"Sun, 22 Nov 2026 12:05:00 GMT", 5min},
      {"Mon, 23 Nov 2026 12:00:00 GMT", 24h},
      {"Sun, 22 Nov 2026 11:59:59 GMT", 0s},  // passed
      {"Sun, 06 Nov 1994 08:49:37 GMT", 0s},
      {"Thu, 01 Jan 1970 00:00:00 GMT", 0s},
      {"Mon, 01 Jan 0001 00:00:00 GMT", 0s},
      {"Fri, 31 Dec 9999 23:59:59 GMT", hf::duration::max()},
      {"Sunday, 22-Nov-26 12:00:07 GMT", 7s},
      {"Sun Nov 22 12:00:07 2026", 7s},
      // No dates.
      {"Sun, 22 Nov 2026 12:00:00", {}},
      {"Sun, 22 Nov 2026 12:00:00 UTC", {}},
      {"Sun, 22 Nov 2026 12:00:00 +0000", {}},
      {"Sun, 22 Nov 2026 12:00:00 GMT+1", {}},
      {"sun, 22 nov 2026 12:00:00 gmt", {}},
      {"Sun, 31 Nov 2026 12:00:00 GMT", {}},
      {"Sun, 00 Nov 2026 12:00:00 GMT", {}},
      {"Sun, 22 Nov 2026 24:00:00 GMT", {}},
      {"Sun, 22 Nov 2026 12:60:00 GMT", {}},
      {"Sun, 22 Nov 2026 12:00:61 GMT", {}},
      {"Sun, 2 Nov 2026 12:00:00 GMT", {}},
      {"Sun, 22 Nov 26 12:00:00 GMT", {}},
      {"Sun, 22 Nox 2026 12:00:00 GMT", {}},
      {"2026-11-22T12:00:00Z", {}},
      {"22 Nov 2026 12:00:00 GMT", {}},
  }));
  CAPTURE(std::string(r.value));
  CHECK(header(r.value) == r.expected);
}

TEST_CASE("a date is never early, whatever part of a second has passed", "[retry_after]") {
  CHECK(hf::parse_retry_after("Sun, 22 Nov 2026 12:00:01 GMT", now + 250ms) == hint(750ms));
  CHECK(hf::parse_retry_after("Sun, 22 Nov 2026 12:00:00 GMT", now + 250ms) == hint(0s));
  // Before the epoch as well.
  CHECK(hf::parse_retry_after("Thu, 01 Jan 1970 00:00:00 GMT", system_clock::time_point(-250ms)) ==
        hint(250ms));
}

TEST_CASE("the three forms of an HTTP date are one date", "[retry_after]") {
  const auto expected = sys_days(std::chrono::year(1994) / 11 / 6) + 8h + 49min + 37s;
  CHECK(hf::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT", now) == expected);
  CHECK(hf::parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT", now) == expected);
  CHECK(hf::parse_http_date("Sun Nov  6 08:49:37 1994", now) == expected);
  CHECK_FALSE(hf::parse_http_date("Sun Nov 6 08:49:37 1994", now));
  CHECK_FALSE(hf::parse_http_date("120", now));
  // A leap second, and a leap day.
  CHECK(hf::parse_http_date("Sat, 31 Dec 2016 23:59:60 GMT", now) ==
        sys_days(std::chrono::year(2017) / 1 / 1));
  CHECK(hf::parse_http_date("Thu, 29 Feb 2024 00:00:00 GMT", now) ==
        sys_days(std::chrono::year(2024) / 2 / 29));
  CHECK_FALSE(hf::parse_http_date("Sun, 29 Feb 2026 00:00:00 GMT", now));
}

TEST_CASE("a year of two digits is at most fifty years ahead", "[retry_after]") {
  const auto year_of = [](std::string_view date) {
    const auto t = hf::parse_http_date(date, now);
    REQUIRE(t);
    const auto day = std::chrono::floor<std::chrono::days>(*t);
    return static_cast<int>(std::chrono::year_month_day(day).year());
  };
  CHECK(year_of("Sunday, 22-Nov-26 12:00:00 GMT") == 2026);
  CHECK(year_of("Sunday, 22-Nov-75 12:00:00 GMT") == 2075);
  CHECK(year_of("Sunday, 22-Nov-76 12:00:00 GMT") == 2076);
  CHECK(year_of("Monday, 23-Nov-76 12:00:00 GMT") == 1976);
  CHECK(year_of("Sunday, 01-Jan-77 12:00:00 GMT") == 1977);
  CHECK(year_of("Sunday, 01-Jan-99 12:00:00 GMT") == 1999);
  CHECK(year_of("Sunday, 01-Jan-00 12:00:00 GMT") == 2000);
}

TEST_CASE("retry-after-ms", "[retry_after]") {
  CHECK(hf::parse_retry_after_ms("250") == hint(250ms));
  CHECK(hf::parse_retry_after_ms(" 0 ") == hint(0ms));
  CHECK(hf::parse_retry_after_ms("1.5") == hint(1500us));
  CHECK(hf::parse_retry_after_ms("86400000") == hint(24h));
  CHECK(hf::parse_retry_after_ms("99999999999999999999") == hint(hf::duration::max()));
  for (const auto* bad : {"", "-1", "1s", "Sun, 22 Nov 2026 12:00:01 GMT"}) {
    CHECK_FALSE(hf::parse_retry_after_ms(bad));
  }
}

TEST_CASE("delays with units, as bodies and rate limit headers have them", "[retry_after]") {
  CHECK(hf::parse_delay("20s") == hint(20s));
  CHECK(hf::parse_delay("34.074824224s") == hint(34s + 74824224ns));
  CHECK(hf::parse_delay("6m0s") == hint(6min));
  CHECK(hf::parse_delay("1h30m15.5s") == hint(1h + 30min + 15500ms));
  CHECK(hf::parse_delay("250ms") == hint(250ms));
  CHECK(hf::parse_delay("7us") == hint(7us));
  CHECK(hf::parse_delay("7ns") == hint(7ns));
  CHECK(hf::parse_delay("1.5m") == hint(90s));
  CHECK(hf::parse_delay("0s") == hint(0s));
  CHECK(hf::parse_delay("999999999h") == hint(hf::duration::max()));
  CHECK(hf::parse_delay("2562047h2562047h") == hint(hf::duration::max()));
  for (const auto* bad : {"", " ", "20", "s", "-5s", "5 s", "1..5s", "5x", "5s6", "s5"}) {
    CAPTURE(bad);
    CHECK_FALSE(hf::parse_delay(bad));
  }
}
