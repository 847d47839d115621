// SPDX-License-Identifier: BSL-1.0
// The bulkhead: its word, its queue, and how a permit passes from one to the next.
#include <array>
#include <boost/asio/execution_context.hpp>
#include <holdfast/detail/bulkhead_core.hpp>
#include <optional>

#include "waiter.hpp"

namespace {

namespace hf = holdfast;
namespace asio = boost::asio;
using hf::detail::admission;
using hf::detail::bulkhead_core;
using hf::detail::wait_end;
using model::waiter;

constexpr hf::time_point start{std::chrono::hours(1)};

enum class ask { granted, refused, cancelled };

struct with_bulkhead : model::threads {
  static constexpr int count = 3;
  explicit with_bulkhead(const hf::bulkhead_options& o) : core(o) {}

  asio::execution_context context;
  hf::time_service time{context};
  bulkhead_core core;
  std::array<model::bell, count> bells;
  unsigned holders = 0;

  /// Asks as a layer does, and waits if it must.
  ask acquire(unsigned n, unsigned weight = 1, bool cancel = false) {
    if (core.try_acquire(weight)) return ask::granted;
    if (core.refuses_at_once(weight) != admission::queued) return ask::refused;
    waiter w(bells[n]);
    w.open(time);
    w.place.weight = weight;
    w.place.until = hf::never;
    switch (core.acquire_or_enqueue(w.place, start)) {
      case admission::granted: w.place.wait.finish(); return ask::granted;
      case admission::queued: break;
      default: w.place.wait.finish(); return ask::refused;
    }
    const wait_end end = w.wait(w.place.until, cancel);
    if (end == wait_end::granted) return w.place.refused ? ask::refused : ask::granted;
    core.abandon(w.place);
    return ask::cancelled;
  }

  void hold(unsigned weight = 1) {
    holders += weight;
    MUST(holders <= core.limit());
  }
  void release(unsigned weight = 1) {
    holders -= weight;
    core.release(weight);
  }

  void after() override {
    MUST(core.in_use() == 0);
    MUST(core.waiting() == 0);
  }
};

/// One permit: held by one at a time, who sees what the one before has done; and nobody waits for
/// ever.
struct one_at_a_time : with_bulkhead {
  one_at_a_time() : with_bulkhead({.limit = 1, .queue = 2}) {}
  model::payload service;
  void thread(unsigned n) override {
    MUST(acquire(n) == ask::granted);
    hold();
    service.write(service.read() + 1);
    release();
  }
  void after() override {
    with_bulkhead::after();
    MUST(service.read() == 3);
  }
};

/// The same where those who find nothing free go away: none is admitted who should not be.
struct no_more_than_the_limit : with_bulkhead {
  no_more_than_the_limit() : with_bulkhead({.limit = 2}) {}
  void thread(unsigned n) override {
    for (int i = 0; i < 2; ++i) {
      if (acquire(n) != ask::granted) continue;
      hold();
      release();
    }
  }
};

/// A heavy one is served when enough is free, and keeps nobody waiting when it goes.
struct weights : with_bulkhead {
  weights() : with_bulkhead({.limit = 2, .queue = 2}) {}
  void thread(unsigned n) override {
    const unsigned weight = n == 0 ? 2 : 1;
    const bool cancel = n == 0;
    const ask got = acquire(n, weight, cancel);
    MUST(got == ask::granted || (cancel && got == ask::cancelled));
    if (got != ask::granted) return;
    hold(weight);
    release(weight);
  }
};

/// Who is cancelled while its turn comes passes the permit on.
struct cancelled_passes_it_on : with_bulkhead {
  cancelled_passes_it_on() : with_bulkhead({.limit = 1, .queue = 2}) {}
  model::payload service;
  void thread(unsigned n) override {
    const bool cancel = n == 1;
    const ask got = acquire(n, 1, cancel);
    MUST(got == ask::granted || (cancel && got == ask::cancelled));
    if (got != ask::granted) return;
    service.write(service.read() + 1);
    release_it();
  }
  void release_it() { core.release(); }
};

/// Who goes without having waited, as a coroutine that is destroyed, passes on what it was given.
struct destroyed_passes_it_on : with_bulkhead {
  destroyed_passes_it_on() : with_bulkhead({.limit = 1, .queue = 2}) {}
  void thread(unsigned n) override {
    if (n == 0) {
      waiter w(bells[n]);
      w.open(time);
      const admission a = core.acquire_or_enqueue(w.place, start);
      if (a == admission::granted) {
        core.release();
      } else {
        core.abandon(w.place);
      }
    } else {
      MUST(acquire(n) == ask::granted);
      hold();
      release();
    }
  }
};

/// A heavy one that goes lets the lighter ones behind it in, though nobody gives anything back.
struct lighter_ones_follow : with_bulkhead {
  lighter_ones_follow() : with_bulkhead({.limit = 2, .queue = 2}) {}
  static constexpr int count = 2;
  void before() override { MUST(core.try_acquire()); }
  void thread(unsigned n) override {
    if (n == 0) {
      MUST(acquire(n, 2, true) == ask::cancelled);
    } else {
      MUST(acquire(n) == ask::granted);
    }
  }
  void after() override {
    core.release(2);
    with_bulkhead::after();
  }
};

/// What is given back at once serves as many as it is enough for, also if none of them gives back.
struct all_who_fit : with_bulkhead {
  all_who_fit() : with_bulkhead({.limit = 2, .queue = 2}) {}
  void before() override { MUST(core.try_acquire(2)); }
  void thread(unsigned n) override {
    if (n == 0) {
      core.release(2);
    } else {
      MUST(acquire(n) == ask::granted);
    }
  }
  void after() override {
    core.release(2);
    with_bulkhead::after();
  }
};

/// A permit that comes back while somebody waits is his: nobody overtakes him.
struct nobody_overtakes : with_bulkhead {
  nobody_overtakes() : with_bulkhead({.limit = 1, .queue = 1}) {}
  std::optional<waiter> first;
  void before() override {
    MUST(core.try_acquire());
    first.emplace(bells[1]).open(time);
    first->place.until = hf::never;
    MUST(core.acquire_or_enqueue(first->place, start) == admission::queued);
  }
  void thread(unsigned n) override {
    if (n == 0) {
      core.release();
    } else if (n == 1) {
      MUST(first->wait() == wait_end::granted);
    } else {
      MUST(!core.try_acquire());
    }
  }
  void after() override {
    core.release();
    with_bulkhead::after();
  }
};

/// A permit more serves one who waits; a limit that sinks below what is out serves nobody.
struct resized : with_bulkhead {
  resized() : with_bulkhead({.limit = 1, .queue = 2}) {}
  void before() override { MUST(core.try_acquire()); }
  void thread(unsigned n) override {
    if (n == 0) {
      core.resize(2);
      core.resize(1);
      core.resize(2);
    } else {
      MUST(acquire(n) == ask::granted);
      core.release();
    }
  }
  void after() override {
    MUST(core.in_use() == 1);
    core.release();
    with_bulkhead::after();
  }
};

/// Nobody gets in once it is closed; who drains it hears of the last permit, and sees what all who
/// held one have done.
struct closed_and_drained : with_bulkhead {
  closed_and_drained() : with_bulkhead({.limit = 2, .queue = 2}) {}
  std::array<model::payload, count> done;
  unsigned admitted = 0;
  void thread(unsigned n) override {
    if (n == 0) {
      core.close();
      MUST(!core.try_acquire());
      hf::detail::drain_wait w;
      w.wait.prepare(time, {});
      core.join(w);
      const model::payload frame;
      w.wait.start(hf::never, model::resumed_by_bell{&bells[n], &frame});
      bells[n].wait();
      core.leave(w);
      MUST(w.wait.finish() == wait_end::granted);
      MUST(done[1].read() + done[2].read() == admitted);
    } else {
      const ask got = acquire(n);
      MUST(got != ask::cancelled);
      if (got != ask::granted) return;
      ++admitted;
      done[n].write(1);
      core.release();
    }
  }
};

/// Who drains it before it is closed hears of that.
struct drained_and_closed : with_bulkhead {
  drained_and_closed() : with_bulkhead({.limit = 1}) {}
  void thread(unsigned n) override {
    if (n == 0) {
      hf::detail::drain_wait w;
      w.wait.prepare(time, {});
      core.join(w);
      const model::payload frame;
      w.wait.start(hf::never, model::resumed_by_bell{&bells[n], &frame});
      bells[n].wait();
      core.leave(w);
      MUST(w.wait.finish() == wait_end::granted);
    } else if (n == 1) {
      core.close();
    } else if (core.try_acquire()) {
      core.release();
    }
  }
};

/// Of a full queue the one that makes room hears of it once, and whoever stays is served.
struct evicted : with_bulkhead {
  evicted() : with_bulkhead({.limit = 1, .queue = 1, .order = hf::queue_order::lifo}) {}
  unsigned served = 0;
  unsigned refused = 0;
  void thread(unsigned n) override {
    if (acquire(n) == ask::granted) {
      ++served;
      core.release();
    } else {
      ++refused;
    }
  }
  void after() override {
    with_bulkhead::after();
    MUST(served + refused == 3 && refused <= 1);
  }
};

}  // namespace

int main(int argc, char** argv) {
  model::explorer e(argc, argv);
  e.explore<one_at_a_time>("one at a time", 10'000);
  e.explore<no_more_than_the_limit>("no more than the limit", 10'000);
  e.explore<weights>("weights", 10'000);
  e.explore<cancelled_passes_it_on>("who is cancelled passes it on", 10'000);
  e.explore<destroyed_passes_it_on>("who is destroyed passes it on", 10'000);
  e.explore<lighter_ones_follow>("lighter ones follow", 10'000);
  e.explore<all_who_fit>("all who fit", 10'000);
  e.explore<nobody_overtakes>("nobody overtakes", 10'000);
  e.explore<resized>("resized", 10'000);
  e.explore<closed_and_drained>("closed and drained", 10'000);
  e.explore<drained_and_closed>("drained and closed", 10'000);
  e.explore<evicted>("evicted", 10'000);
  return e.result();
}
