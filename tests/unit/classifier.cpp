// SPDX-License-Identifier: BSL-1.0
#include <boost/asio/error.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/classifier.hpp>
#include <holdfast/failure.hpp>
#include <new>
#include <stdexcept>
#include <system_error>

namespace hf = holdfast;
using hf::failure;
using hf::verdict;
namespace generic = boost::system::errc;

namespace {

template <class E>
failure thrown(E e) {
  return failure(std::make_exception_ptr(std::move(e)));
}

failure timed_out() {
  return {hf::errc::attempt_timeout, hf::policy_kind::timeout, {}};
}

struct db_error : std::runtime_error {
  using runtime_error::runtime_error;
};
struct db_gone : db_error {
  using db_error::db_error;
};

}  // namespace

TEST_CASE("the default counts timeouts and errors of the system", "[classifier]") {
  const hf::default_classifier c;
  CHECK(c(timed_out()) == verdict::failure);
  CHECK(c(failure(boost::asio::error::connection_refused)) == verdict::failure);
  CHECK(c(failure(boost::asio::error::eof)) == verdict::failure);
  CHECK(c(failure(boost::asio::error::timed_out)) == verdict::failure);
  CHECK(c(thrown(std::runtime_error("x"))) == verdict::failure);
  CHECK(c(thrown(std::logic_error("x"))) == verdict::failure);
  CHECK(c(thrown(42)) == verdict::failure);
  // As std::stoi throws on an answer that is an error page.
  CHECK(c(thrown(std::invalid_argument("x"))) == verdict::failure);
  CHECK(c(thrown(std::out_of_range("x"))) == verdict::failure);
  CHECK(c(thrown(std::length_error("x"))) == verdict::failure);
}

TEST_CASE("the default takes bad input for the caller's own fault", "[classifier]") {
  const hf::default_classifier c;
  CHECK(c(failure(boost::asio::error::invalid_argument)) == verdict::request_fault);
  CHECK(c(failure(generic::make_error_code(generic::argument_out_of_domain))) ==
        verdict::request_fault);
  CHECK(c(thrown(std::system_error(std::make_error_code(std::errc::invalid_argument)))) ==
        verdict::request_fault);
}

TEST_CASE("to the default a lack of memory says nothing of the service", "[classifier]") {
  const hf::default_classifier c;
  CHECK(c(thrown(std::bad_alloc())) == verdict::neutral);
  CHECK(c(failure(generic::make_error_code(generic::not_enough_memory))) == verdict::neutral);
}

TEST_CASE("to the default an aborted operation is a failure, as is a timeout of ours",
          "[classifier]") {
  const hf::default_classifier c;
  CHECK(c(failure(boost::asio::error::operation_aborted)) == verdict::failure);
  CHECK(c(failure(hf::errc::cancelled)) == verdict::failure);
  CHECK(c(thrown(boost::system::system_error(boost::asio::error::operation_aborted))) ==
        verdict::failure);
  CHECK(c(timed_out()) == verdict::failure);
}

TEST_CASE("count_only counts the given conditions and codes", "[classifier]") {
  const hf::count_only c{hf::condition::timed_out, generic::connection_refused};
  CHECK(c(timed_out()) == verdict::failure);
  CHECK(c(failure(boost::asio::error::connection_refused)) == verdict::failure);
  CHECK(c(thrown(std::system_error(std::make_error_code(std::errc::connection_refused)))) ==
        verdict::failure);
  CHECK(c(failure(boost::asio::error::eof)) == verdict::request_fault);
  CHECK(c(failure(hf::errc::circuit_open)) == verdict::request_fault);
  CHECK(c(thrown(std::runtime_error("x"))) == verdict::request_fault);
  CHECK(hf::count_only{}(timed_out()) == verdict::request_fault);
}

TEST_CASE("count_only_exceptions counts the given types, those derived, and timeouts",
          "[classifier]") {
  const hf::count_only_exceptions<db_error, std::bad_alloc> c;
  CHECK(c(thrown(db_error("x"))) == verdict::failure);
  CHECK(c(thrown(db_gone("x"))) == verdict::failure);
  CHECK(c(thrown(std::bad_alloc())) == verdict::failure);
  CHECK(c(thrown(std::runtime_error("x"))) == verdict::request_fault);
  CHECK(c(thrown(42)) == verdict::request_fault);
  CHECK(c(failure(boost::asio::error::eof)) == verdict::request_fault);
  CHECK(c(timed_out()) == verdict::failure);
}

TEST_CASE("a verdict converts to a classification, with or without a hint", "[classifier]") {
  using namespace std::chrono_literals;
  const hf::classification plain = verdict::throttled;
  CHECK(plain.outcome == verdict::throttled);
  CHECK_FALSE(plain.retry_after);
  const hf::classification hinted{verdict::overloaded, 3s};
  CHECK(hinted.retry_after == 3s);
}

TEST_CASE("verdicts, qualities and kinds have names", "[classifier]") {
  CHECK(to_string(verdict::success) == "success");
  CHECK(to_string(verdict::slow) == "slow");
  CHECK(to_string(verdict::failure) == "failure");
  CHECK(to_string(verdict::throttled) == "throttled");
  CHECK(to_string(verdict::overloaded) == "overloaded");
  CHECK(to_string(verdict::request_fault) == "request_fault");
  CHECK(to_string(verdict::neutral) == "neutral");
  CHECK(to_string(static_cast<verdict>(99)) == "unknown");
  CHECK(to_string(hf::quality::primary) == "primary");
  CHECK(to_string(hf::quality::degraded) == "degraded");
  CHECK(to_string(hf::quality::cached) == "cached");
  CHECK(to_string(hf::quality::stale) == "stale");
  CHECK(to_string(hf::quality::similar) == "similar");
  CHECK(to_string(hf::quality::queued) == "queued");
  CHECK(to_string(static_cast<hf::quality>(99)) == "unknown");
  CHECK(to_string(hf::policy_kind::none) == "call");
  CHECK(to_string(hf::policy_kind::timeout) == "timeout");
  CHECK(to_string(hf::policy_kind::retry) == "retry");
  CHECK(to_string(hf::policy_kind::circuit_breaker) == "circuit_breaker");
  CHECK(to_string(hf::policy_kind::load_shedder) == "load_shedder");
  CHECK(to_string(hf::policy_kind::bulkhead) == "bulkhead");
  CHECK(to_string(hf::policy_kind::fallback) == "fallback");
  CHECK(to_string(hf::policy_kind::adaptive_limit) == "adaptive_limit");
  CHECK(to_string(hf::policy_kind::chaos) == "chaos");
  CHECK(to_string(hf::policy_kind::cache) == "cache");
  CHECK(to_string(static_cast<hf::policy_kind>(99)) == "unknown");
  CHECK(is_answer(verdict::success));
  CHECK(is_answer(verdict::slow));
  CHECK_FALSE(is_answer(verdict::failure));
  CHECK_FALSE(is_answer(verdict::neutral));
}
