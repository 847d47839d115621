// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <holdfast/clock.hpp>
#include <queue>
#include <utility>
#include <vector>

/// \file
/// A server with c places and an unbounded first-in-first-out queue, and open-loop arrivals, as a
/// discrete-event simulation. Times are exact, nothing waits, and one seed decides everything.

namespace sim {

namespace hf = holdfast;

/// What happens next, and the time.
class agenda {
 public:
  using deed = std::function<void()>;

  hf::time_point now() const { return now_; }
  void at(hf::time_point t, deed d) { events_.push({t, ++last_, std::move(d)}); }
  void after(hf::duration d, deed what) { at(now_ + d, std::move(what)); }

  void run_until(hf::time_point end) {
    while (!events_.empty() && events_.top().at <= end) {
      // The queue gives const access only; the deed is about to be removed.
      event next = std::move(const_cast<event&>(events_.top()));
      events_.pop();
      now_ = next.at;
      next.what();
    }
    now_ = end;
  }

 private:
  struct event {
    hf::time_point at;
    std::uint64_t number;  // equal times keep their order
    deed what;
    bool operator<(const event& o) const {
      return at != o.at ? at > o.at : number > o.number;
    }
  };
  hf::time_point now_{std::chrono::hours(1)};
  std::uint64_t last_ = 0;
  std::priority_queue<event> events_;
};

class server {
 public:
  server(agenda& a, unsigned places) : agenda_(a), places_(places) {}

  /// Takes a call of the given length; `done` is told how long it had to wait for its place.
  void take(hf::duration length, std::function<void(hf::duration waited)> done) {
    queue_.push_back({agenda_.now(), length, std::move(done)});
    work();
  }

  /// From now on; what is being served is finished.
  void resize(unsigned places) {
    places_ = places;
    work();
  }

 private:
  struct job {
    hf::time_point came;
    hf::duration length;
    std::function<void(hf::duration)> done;
  };

  void work() {
    while (busy_ < places_ && !queue_.empty()) {
      job next = std::move(queue_.front());
      queue_.pop_front();
      ++busy_;
      const hf::duration waited = agenda_.now() - next.came;
      agenda_.after(next.length, [this, waited, done = std::move(next.done)] {
        --busy_;
        done(waited);
        work();
      });
    }
  }

  agenda& agenda_;
  unsigned places_;
  unsigned busy_ = 0;
  std::deque<job> queue_;
};

}  // namespace sim
