// SPDX-License-Identifier: BSL-1.0
#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/call_options.hpp>
#include <holdfast/failure.hpp>
#include <holdfast/result.hpp>
#include <holdfast/short_name.hpp>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "../support/allocations.hpp"

namespace hf = holdfast;
using hf::errc;
using hf::failure;
using namespace std::chrono_literals;
using namespace std::string_literals;

namespace {

/// An exception with an identity.
struct odd {
  int number;
};

}  // namespace

TEST_CASE("an empty failure says nothing", "[failure]") {
  const failure f;
  CHECK_FALSE(f.code().failed());
  CHECK_FALSE(f.exception());
  CHECK(f.policy() == hf::policy_kind::none);
  CHECK(f.policy_name().empty());
  CHECK(f.attempts() == 0);
  CHECK_FALSE(f.retry_after());
}

TEST_CASE("a failure takes the code that a thrown system_error carries", "[failure]") {
  const boost::system::error_code refused = boost::asio::error::connection_refused;
  const failure boosts(std::make_exception_ptr(boost::system::system_error(refused)));
  CHECK(boosts.code() == refused);
  const failure standards(
      std::make_exception_ptr(std::system_error(std::make_error_code(std::errc::broken_pipe))));
  CHECK(standards.code() == boost::system::errc::broken_pipe);
  const failure other(std::make_exception_ptr(std::runtime_error("no")));
  CHECK(other.code() == errc::exception);
  const failure no_std_exception(std::make_exception_ptr(odd{7}));
  CHECK(no_std_exception.code() == errc::exception);
  CHECK(no_std_exception.exception() != nullptr);
}

TEST_CASE("raise throws the original exception unchanged", "[failure]") {
  const auto original = std::make_exception_ptr(odd{42});
  const failure f(original);
  try {
    f.raise();
  } catch (const odd& e) {
    CHECK(e.number == 42);
    CHECK(std::current_exception() == original);  // the very same object
  }
  // So does the value of a result.
  const hf::result<int> r(BOOST_OUTCOME_V2_NAMESPACE::in_place_type<failure>, f);
  CHECK_THROWS_AS(r.value(), odd);
}

TEST_CASE("without an exception raise throws hf::error with the failure", "[failure]") {
  const failure f(errc::circuit_open, hf::policy_kind::circuit_breaker, "gpt-4", 3s);
  const hf::result<void> r(BOOST_OUTCOME_V2_NAMESPACE::in_place_type<failure>, f);
  try {
    r.value();
    FAIL("no exception");
  } catch (const boost::system::system_error& e) {
    CHECK(e.code() == errc::circuit_open);
    const auto* error = dynamic_cast<const hf::error*>(&e);
    REQUIRE(error);
    CHECK(error->why().policy_name() == "gpt-4");
    CHECK(error->why().retry_after() == 3s);
    CHECK_THAT(e.what(), Catch::Matchers::ContainsSubstring("circuit_breaker 'gpt-4'"));
  }
}

TEST_CASE("the message says who, why, how often and until when", "[failure]") {
  CHECK(failure(errc::cancelled).message() == "the caller cancelled the operation");
  CHECK(failure(std::make_exception_ptr(std::runtime_error("disk full"))).message() == "disk full");
  CHECK(failure(std::make_exception_ptr(odd{1})).message() ==
        "an exception that is no std::exception");
  failure f(errc::circuit_open, hf::policy_kind::circuit_breaker, "gpt-4", 1500ms);
  CHECK(f.message() == "circuit_breaker 'gpt-4': the circuit is open, retry after 1.50 s");
  f.set_attempts(3);
  CHECK(f.message() ==
        "circuit_breaker 'gpt-4': the circuit is open (after 3 attempts), retry after 1.50 s");
  failure t(errc::attempt_timeout, hf::policy_kind::timeout, {});
  t.set_attempts(1);
  CHECK(t.message() == "timeout: the attempt timed out");
}

TEST_CASE("the message of a system_error is that of its code, in one line", "[failure]") {
  const boost::system::error_code refused = boost::asio::error::connection_refused;
  static constexpr boost::source_location here = BOOST_CURRENT_LOCATION;
  const boost::system::error_code located(refused.value(), refused.category(), &here);
  const auto said = [](const auto& e) { return failure(std::make_exception_ptr(e)).message(); };
  CHECK(said(boost::system::system_error(located)) == refused.message());
  CHECK(said(boost::system::system_error(located, "connect")) == "connect: " + refused.message());
  CHECK(said(boost::system::system_error(refused)) == refused.message());
  // An exception with a text of its own keeps it.
  CHECK(said(hf::error(failure(errc::circuit_open, hf::policy_kind::circuit_breaker, "db"))) ==
        "circuit_breaker 'db': the circuit is open");
}

TEST_CASE("tags: the last value of a key is its value", "[options]") {
  hf::tag_set tags{{"tenant", "a"}, {"route", "r"}, {"tenant", "b"}};
  CHECK(tags.find("tenant") == "b");
  tags.set("tenant", "c");
  tags.set("route", "s");
  CHECK(tags.find("tenant") == "c");
  CHECK(tags.find("route") == "s");
  CHECK(tags.find("request").empty());
}

TEST_CASE("a hint is kept, a negative one ignored", "[failure]") {
  failure f(boost::asio::error::try_again);
  CHECK_FALSE(f.retry_after());
  CHECK(f.with_retry_after(0s).retry_after() == 0s);
  CHECK(f.with_retry_after(5s).retry_after() == 5s);
  CHECK(f.with_retry_after(-1s).retry_after() == 5s);
  CHECK_FALSE(failure(errc::shed).with_retry_after(-1ns).retry_after());
  CHECK_FALSE(failure(errc::shed, hf::policy_kind::retry, "x").retry_after());
}

TEST_CASE("a failure outlives the policy's name, which is cut where it is too long", "[failure]") {
  std::optional<failure> f;
  {
    const std::string name(100, 'n');
    f.emplace(errc::bulkhead_full, hf::policy_kind::bulkhead, name);
  }
  CHECK(f->policy_name() == std::string(hf::short_name::capacity, 'n'));
  CHECK(hf::short_name().view().empty());
  CHECK(hf::short_name("exact").view() == "exact");
}

TEST_CASE("changing a failure leaves its copies as they are", "[failure]") {
  const failure original(errc::circuit_open, hf::policy_kind::circuit_breaker, "gpt-4", 3s);
  failure copy = original;
  copy.with_retry_after(9s).set_attempts(2);
  CHECK(copy.retry_after() == 9s);
  CHECK(copy.attempts() == 2);
  CHECK(copy.policy_name() == "gpt-4");
  CHECK(original.retry_after() == 3s);
  CHECK(original.attempts() == 0);

  failure empty;
  empty.set_attempts(4);
  CHECK(empty.attempts() == 4);
  CHECK(failure().attempts() == 0);

  const failure moved = std::move(copy);
  CHECK(moved.attempts() == 2);
  copy = moved;  // may be assigned to again
  CHECK(copy.attempts() == 2);
}

TEST_CASE("failures that come and go allocate nothing", "[failure]") {
#ifdef BOOST_ASIO_DISABLE_AWAITABLE_FRAME_RECYCLING
  SKIP("no memory is kept for later in this build");
#endif
  const auto come_and_go = [] {
    std::vector<failure> some;
    some.reserve(20);
    for (int i = 0; i < 20; ++i)
      some.emplace_back(errc::bulkhead_full, hf::policy_kind::bulkhead, "db");
  };
  come_and_go();
  const auto before = support::allocations();
  for (int i = 0; i < 100; ++i) come_and_go();
  CHECK(support::allocations() - before == 100);  // the vectors
}

TEST_CASE("failures of one thread may end in another", "[failure][threads]") {
  // More than a thread keeps: the rest is freed, and nothing piles up.
  std::vector<failure> many(500, failure(errc::shed));
  for (auto& f : many) f = failure(errc::rate_limited);
  std::thread([taken = std::move(many)]() mutable {
    for (const auto& f : taken) CHECK(f.code() == errc::rate_limited);
    taken.clear();
  }).join();
}
