// SPDX-License-Identifier: BSL-1.0
// Single flight by hand. Waits are opened but never suspended on, so nothing is ever run.
#include <boost/asio/io_context.hpp>
#include <catch2/catch_all.hpp>
#include <holdfast/detail/flight.hpp>
#include <holdfast/detail/operation.hpp>
#include <memory>
#include <random>
#include <vector>

#include "../support/seed.hpp"

namespace hf = holdfast;
namespace asio = boost::asio;
using hf::detail::flight;
using hf::detail::flight_seat;
using hf::detail::kept_ptr;
using hf::detail::kept_value;
using hf::detail::wait_end;

namespace {

/// One operation that would rather follow.
struct traveller {
  explicit traveller(asio::io_context& context)
      : executor(context.get_executor()), operation(executor, options) {}
  flight::boarding join(flight& f) { return f.join(seat, operation.prepare_wait()); }
  bool granted() const { return seat.place && seat.place->wait.granted(); }
  wait_end finish() { return seat.place->wait.finish(); }

  hf::call_options options;
  asio::any_io_executor executor;
  hf::detail::operation operation;
  flight_seat seat;
};

kept_ptr number(int n) { return kept_ptr(new kept_value<int>(n, hf::verdict::success)); }

struct world {
  asio::io_context context{1};
  flight f{"key", 1};
  traveller a{context};
  traveller b{context};
  traveller c{context};
};

}  // namespace

TEST_CASE("a landing reaches every follower, once", "[flight]") {
  world w;
  REQUIRE(w.a.join(w.f) == flight::boarding::follows);
  REQUIRE(w.b.join(w.f) == flight::boarding::follows);
  CHECK_FALSE(w.f.over());
  w.f.land(number(7), hf::quality::stale);
  CHECK(w.f.over());
  for (auto* t : {&w.a, &w.b}) {
    CHECK(t->granted());
    CHECK_FALSE(w.f.leads(t->seat));
    CHECK(w.f.leave(t->seat));
  }
  CHECK(hf::detail::value_of_kept<int>(*w.f.outcome()) == 7);
  CHECK(w.f.quality() == hf::quality::stale);
  CHECK(w.c.join(w.f) == flight::boarding::landed);
}

TEST_CASE("more followers than one batch land", "[flight]") {
  asio::io_context context{1};
  flight f("key", 1);
  std::vector<std::unique_ptr<traveller>> all;
  for (int i = 0; i < 100; ++i) {
    all.push_back(std::make_unique<traveller>(context));
    REQUIRE(all.back()->join(f) == flight::boarding::follows);
  }
  f.land(number(1), hf::quality::primary);
  for (auto& t : all) CHECK(t->granted());
}

TEST_CASE("a leader that gives up is followed by the one that has waited longest", "[flight]") {
  world w;
  for (auto* t : {&w.a, &w.b, &w.c}) REQUIRE(t->join(w.f) == flight::boarding::follows);
  CHECK(w.f.hand_over());
  CHECK(w.a.granted());
  CHECK(w.f.leads(w.a.seat));
  CHECK_FALSE(w.b.granted());
  SECTION("who may land it") {
    w.f.land(number(2), hf::quality::primary);
    CHECK(w.b.granted());
    CHECK(w.c.granted());
    CHECK_FALSE(w.f.leads(w.b.seat));
  }
  SECTION("or leave in turn") {
    CHECK(w.f.leave(w.a.seat));
    CHECK(w.b.granted());
    CHECK(w.f.leads(w.b.seat));
    CHECK(w.f.leave(w.a.seat));  // twice is once
    CHECK_FALSE(w.c.granted());
    CHECK(w.f.leave(w.b.seat));
    CHECK(w.f.leads(w.c.seat));
    CHECK_FALSE(w.f.leave(w.c.seat));  // nobody is left
    CHECK(w.f.over());
  }
}

TEST_CASE("nobody leads a flight whose last leader left", "[flight]") {
  world w;
  CHECK_FALSE(w.f.hand_over());
  CHECK(w.f.over());
  CHECK(w.a.join(w.f) == flight::boarding::over);
}

TEST_CASE("a follower that leaves changes nothing for the others", "[flight]") {
  world w;
  for (auto* t : {&w.a, &w.b, &w.c}) REQUIRE(t->join(w.f) == flight::boarding::follows);
  CHECK(w.f.leave(w.b.seat));
  CHECK(w.f.leave(w.b.seat));  // twice is once
  CHECK_FALSE(w.f.over());
  w.f.land(number(3), hf::quality::primary);
  CHECK(w.a.granted());
  CHECK_FALSE(w.b.granted());
  CHECK(w.c.granted());
}

TEST_CASE("a follower whose wait has ended otherwise is not elected", "[flight]") {
  world w;
  for (auto* t : {&w.a, &w.b}) REQUIRE(t->join(w.f) == flight::boarding::follows);
  CHECK(w.a.finish() == wait_end::elapsed);  // resumed, but not yet gone
  CHECK(w.f.hand_over());
  CHECK(w.f.leads(w.b.seat));
  CHECK_FALSE(w.f.leads(w.a.seat));
  CHECK(w.f.leave(w.a.seat));  // does not hand over what it never had
  CHECK(w.f.leads(w.b.seat));
  CHECK_FALSE(w.f.over());
}

TEST_CASE("flight model check: one leader as long as somebody is there", "[flight]") {
  const test::seed seed(GENERATE(range(1u, 31u)));
  std::mt19937_64 random(seed);
  asio::io_context context{1};
  for (int round = 0; round < 50; ++round) {
    flight f("key", 1);
    std::vector<std::unique_ptr<traveller>> all;
    for (int i = 0; i < 10; ++i) all.push_back(std::make_unique<traveller>(context));
    std::vector<traveller*> waiting;
    traveller* elected = nullptr;  // null: the maker leads
    bool over = false;
    std::size_t next = 0;
    const auto expect_election = [&](bool handed_over) {
      if (waiting.empty()) {
        REQUIRE_FALSE(handed_over);
        over = true;
        return;
      }
      REQUIRE(handed_over);
      elected = waiting.front();
      waiting.erase(waiting.begin());
      REQUIRE(elected->granted());
      REQUIRE(f.leads(elected->seat));
    };
    while (!over && next < all.size()) {
      switch (random() % 3) {
        case 0:
          REQUIRE(all[next]->join(f) == flight::boarding::follows);
          waiting.push_back(all[next++].get());
          break;
        case 1: {
          if (waiting.empty()) break;
          const auto i = static_cast<std::ptrdiff_t>(random() % waiting.size());
          REQUIRE(f.leave(waiting[static_cast<std::size_t>(i)]->seat));
          waiting.erase(waiting.begin() + i);
          break;
        }
        case 2: expect_election(elected ? f.leave(elected->seat) : f.hand_over()); break;
      }
      for (traveller* t : waiting) REQUIRE_FALSE(t->granted());
      REQUIRE(f.over() == over);
    }
    if (over) {
      REQUIRE(all.back()->join(f) == flight::boarding::over);
    } else {
      f.land(number(1), hf::quality::primary);
      for (traveller* t : waiting) REQUIRE(t->granted());
    }
  }
}
