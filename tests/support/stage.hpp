// SPDX-License-Identifier: BSL-1.0
// A small stage for scenarios in virtual time.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch_test_macros.hpp>
#include <exception>
#include <holdfast/resilient.hpp>
#include <holdfast/testing/virtual_time.hpp>
#include <utility>

#include "seed.hpp"

namespace test {

namespace hf = holdfast;
namespace asio = boost::asio;

// What an operation ends with, awaited apart from the assertion: in one, GCC evaluates it twice.

template <class T>
asio::awaitable<void> expect_value(asio::awaitable<hf::result<T>> operation) {
  const hf::result<T> r = co_await std::move(operation);
  CHECK(r.has_value());
}

template <class T>
asio::awaitable<void> expect_error(asio::awaitable<hf::result<T>> operation) {
  const hf::result<T> r = co_await std::move(operation);
  CHECK(r.has_error());
}

template <class T>
asio::awaitable<void> expect_answer(asio::awaitable<hf::result<T>> operation, T expected) {
  const hf::result<T> r = co_await std::move(operation);
  REQUIRE(r.has_value());
  CHECK(r.assume_value() == expected);
}

/// An `io_context` in virtual time, and a count of what runs on it. An exception out of a scene,
/// a failed REQUIRE too, comes out of `run`. A failure says the seed; one that is not given can be
/// replaced by the environment.
class stage {
 public:
  explicit stage(std::uint64_t seed = hf::testing::seed_or(1)) : note(seed), time(context, seed) {}

  /// Starts a scene: a function that returns `awaitable<void>`. It is kept until it has ended.
  template <class Scene>
  void start(Scene scene) {
    ++running;
    asio::co_spawn(context, std::move(scene), [this](std::exception_ptr e) {
      --running;
      if (e) std::rethrow_exception(e);
    });
  }

  /// Runs everything to its end. A scene that hangs is a failed test.
  void run() {
    time.run();
    REQUIRE(running == 0);
  }

  template <class Scene>
  void play(Scene scene) {
    start(std::move(scene));
    run();
  }

  hf::duration elapsed() const { return time.now() - began; }

  seed_note note;
  asio::io_context context{1};
  hf::testing::virtual_time time;
  int running = 0;
  hf::time_point began = time.now();
};

}  // namespace test
