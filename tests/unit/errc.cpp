// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <boost/asio/error.hpp>
#include <boost/system/error_code.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/errc.hpp>
#include <set>
#include <string>
#include <system_error>

namespace hf = holdfast;
using hf::condition;
using hf::errc;

namespace {

constexpr std::array all{errc::attempt_timeout,   errc::total_timeout,  errc::cancelled,
                         errc::circuit_open,      errc::circuit_isolated, errc::bulkhead_full,
                         errc::rate_limited,      errc::shed,           errc::budget_exhausted,
                         errc::deadline_too_near, errc::shutting_down,  errc::too_many_detached,
                         errc::exception,         errc::too_heavy,      errc::no_key};

bool is_timeout(errc e) { return e == errc::attempt_timeout || e == errc::total_timeout; }
bool is_rejection(errc e) {
  return !is_timeout(e) && e != errc::cancelled && e != errc::exception && e != errc::no_key;
}

}  // namespace

TEST_CASE("each code belongs to one condition at most", "[errc]") {
  for (const errc e : all) {
    const boost::system::error_code code = e;  // by Boost's trait
    CAPTURE(to_string(e));
    CHECK(code.failed());
    CHECK((code == condition::timed_out) == is_timeout(e));
    CHECK((code == condition::rejected) == is_rejection(e));
    CHECK((code == condition::cancelled) == (e == errc::cancelled));
    CHECK(code == e);
  }
}

TEST_CASE("the standard's error codes take the enumerators too", "[errc]") {
  for (const errc e : all) {
    const std::error_code code = e;  // by the standard's trait
    const std::error_condition timed_out = condition::timed_out;
    const std::error_condition rejected = condition::rejected;
    const std::error_condition cancelled = condition::cancelled;
    CAPTURE(to_string(e));
    CHECK(code.value() == static_cast<int>(e));
    CHECK(std::string(code.category().name()) == "holdfast");
    CHECK((code == timed_out) == is_timeout(e));
    CHECK((code == rejected) == is_rejection(e));
    CHECK((code == cancelled) == (e == errc::cancelled));
    CHECK(code.message() == boost::system::error_code(e).message());
  }
}

TEST_CASE("codes compare with the portable conditions", "[errc]") {
  namespace generic = boost::system::errc;
  CHECK(boost::system::error_code(errc::attempt_timeout) == generic::timed_out);
  CHECK(boost::system::error_code(errc::total_timeout) == generic::timed_out);
  CHECK(boost::system::error_code(errc::cancelled) == generic::operation_canceled);
  CHECK(boost::system::error_code(errc::circuit_open) ==
        generic::resource_unavailable_try_again);
  CHECK(boost::system::error_code(errc::bulkhead_full) ==
        generic::resource_unavailable_try_again);
  CHECK(boost::system::error_code(errc::exception) != generic::timed_out);
  CHECK(std::error_code(errc::attempt_timeout) == std::errc::timed_out);
  CHECK(std::error_code(errc::cancelled) == std::errc::operation_canceled);
  CHECK(std::error_code(errc::circuit_open) == std::errc::resource_unavailable_try_again);
}

TEST_CASE("codes of other categories meet no condition of ours", "[errc]") {
  const boost::system::error_code others[] = {
      boost::asio::error::operation_aborted, boost::asio::error::timed_out,
      boost::system::error_code(4, boost::system::system_category()),
      boost::system::error_code(4, boost::system::generic_category()), {}};
  for (const auto& code : others) {
    CHECK(code != condition::rejected);
    CHECK(code != condition::timed_out);
    CHECK(code != condition::cancelled);
  }
}

TEST_CASE("every code has a name and a sentence of its own", "[errc]") {
  std::set<std::string> names;
  std::set<std::string> sentences;
  for (const errc e : all) {
    names.insert(std::string(to_string(e)));
    sentences.insert(boost::system::error_code(e).message());
  }
  CHECK(names.size() == all.size());
  CHECK(sentences.size() == all.size());
  CHECK(names.count("unknown") == 0);
  CHECK(to_string(errc::circuit_open) == "circuit_open");
  CHECK(boost::system::error_code(errc::circuit_open).message() == "the circuit is open");
  CHECK(to_string(static_cast<errc>(0)) == "unknown");
  CHECK(to_string(static_cast<errc>(99)) == "unknown");
  CHECK(boost::system::error_code(static_cast<errc>(99)).message() == "unknown holdfast error");
}

TEST_CASE("conditions have messages and a category of their own", "[errc]") {
  const auto message = [](condition c) { return boost::system::error_condition(c).message(); };
  CHECK(message(condition::rejected) == "rejected by a policy");
  CHECK(message(condition::timed_out) == "timed out");
  CHECK(message(condition::cancelled) == "cancelled by the caller");
  CHECK(message(static_cast<condition>(99)) == "unknown holdfast condition");
  CHECK(std::string(hf::condition_category().name()) == "holdfast.condition");
  CHECK(hf::condition_category() != hf::error_category());
  CHECK(boost::system::error_code(errc::exception).default_error_condition().category() ==
        hf::error_category());
  // Values that are no enumerators meet no condition.
  const boost::system::error_code unknown = static_cast<errc>(99);
  CHECK(unknown != condition::rejected);
  CHECK(unknown != condition::timed_out);
  CHECK(boost::system::error_code(errc::shed) != static_cast<condition>(99));
}
