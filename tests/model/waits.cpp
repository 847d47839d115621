// SPDX-License-Identifier: BSL-1.0
// A wait and those who may end it, and the timers of a context that many threads run.
#include <array>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <holdfast/time/time_service.hpp>
#include <memory>
#include <optional>

#include "waiter.hpp"

namespace {

namespace hf = holdfast;
namespace asio = boost::asio;
using hf::detail::resumption;
using hf::detail::wait_end;
using hf::detail::wait_state;
using model::waiter;

// Long past, so that the first ring of the alarm finds it due, whatever the time is.
constexpr hf::time_point due{std::chrono::milliseconds(1)};

/// A context whose alarm is heard where a thread polls.
struct with_context : model::threads {
  asio::io_context context;
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  hf::time_service& time = hf::time_service::of(context);
};

/// Of the giver of a permit, the timer and the canceller one ends the wait, and the operation goes
/// on once. A permit that is taken comes with what its giver has done; one that is not stays with him.
template <bool Cancels>
struct ends_once : with_context {
  static constexpr int count = 3;
  model::bell bell;
  waiter w{bell};
  model::payload permit;
  bool given = false;
  std::optional<wait_end> end;

  void before() override { w.open(time); }
  void thread(unsigned n) override {
    if (n == 0) {
      end = w.wait(due, Cancels);
      if (*end == wait_end::granted) permit.write(permit.read() + 1);
    } else if (n == 1) {
      permit.write(1);
      resumption resumed;
      given = w.place.wait.grant(resumed);
      if (resumed) resumed.post();
      if (!given) permit.write(2);
    } else {
      context.poll();
      context.poll();
    }
  }
  void after() override {
    MUST(end.has_value());
    MUST(given == (*end == wait_end::granted));
    MUST(Cancels || *end != wait_end::cancelled);
    MUST(permit.read() == 2);
    MUST(time.pins().load() == 0);
  }
};

/// A granted wait says so to whoever asks before it is over, and what came with the permit is seen.
struct granted_is_seen : with_context {
  static constexpr int count = 2;
  model::bell bell;
  waiter w{bell};
  model::payload permit;
  void before() override { w.open(time); }
  void thread(unsigned n) override {
    if (n == 0) {
      if (w.place.wait.granted()) MUST(permit.read() == 1);
      MUST(w.wait() == wait_end::granted);
      MUST(permit.read() == 1);
    } else {
      permit.write(1);
      resumption resumed;
      MUST(w.place.wait.grant(resumed));
      if (resumed) resumed.post();
    }
  }
};

/// An operation that finds that it was cancelled does not suspend, and may have been granted all
/// the same.
struct never_suspended : with_context {
  static constexpr int count = 2;
  model::bell bell;
  waiter w{bell};
  model::payload permit;
  std::optional<wait_end> end;
  bool given = false;
  void before() override { w.open(time); }
  void thread(unsigned n) override {
    if (n == 0) {
      end = w.place.wait.finish();
      if (*end == wait_end::granted) MUST(permit.read() == 1);
    } else {
      permit.write(1);
      resumption resumed;
      given = w.place.wait.grant(resumed);
      MUST(!resumed);
    }
  }
  void after() override { MUST(given == (*end == wait_end::granted)); }
};

/// After a timer is disarmed its callback is not running: what it touches may go.
struct disarmed_is_over : with_context {
  static constexpr int count = 3;
  struct alarm final : hf::timer_entry {
    bool claim() noexcept override {
      model::let_others_go_on();
      rings.write(rings.read() + 1);
      return false;
    }
    void on_expiry() noexcept override {}
    void on_shutdown() noexcept override {}
    model::payload rings;
  };
  unsigned rung = 0;
  void thread(unsigned n) override {
    if (n < 2) {
      alarm a;
      time.arm(a, due);
      model::let_others_go_on();
      time.disarm(a);
      MUST(!a.linked());
      MUST(a.rings.read() <= 1);
      a.rings.write(7);
      if (n == 0) return;
      alarm b;
      time.arm(b, due);
      time.disarm(b);
    } else {
      context.poll();
      context.poll();
    }
  }
};

/// What is armed while the alarm is being heard is heard of as well.
struct no_timer_is_forgotten : with_context {
  static constexpr int count = 3;
  std::array<model::bell, 2> bells;
  unsigned ended = 0;
  void thread(unsigned n) override {
    if (n < 2) {
      waiter w(bells[n]);
      w.open(time);
      MUST(w.wait(due) == wait_end::elapsed);
      ++ended;
    } else {
      while (ended < 2) {
        context.poll();
        model::let_others_go_on();
      }
    }
  }
};

/// A context that goes drops what waits there; whoever has ended a wait before hands it on first.
struct a_context_goes : model::threads {
  static constexpr int count = 3;

  /// What is suspended owns its wait, and leaves its place before that goes, as all do who wait in
  /// a queue.
  struct suspended {
    a_context_goes* model;
    wait_state wait;
    explicit suspended(a_context_goes& m) : model(&m) {}
    ~suspended() {
      const std::lock_guard lock(model->queue);
      model->place = nullptr;
      ++model->ended;
    }
  };
  struct at_model {
    a_context_goes* model;
    template <class F>
    void execute(F f) const {
      model->alive.read();
      model->executor.execute(std::move(f));  // dropped with the context, which nobody runs
    }
    static constexpr asio::execution::blocking_t::never_t query(asio::execution::blocking_t) {
      return {};
    }
    bool operator==(const at_model&) const = default;
  };
  struct goes_on {
    using executor_type = at_model;
    at_model get_executor() const noexcept { return {owner->model}; }
    void operator()() { owner->wait.finish(); }
    std::unique_ptr<suspended> owner;
  };

  std::unique_ptr<asio::io_context> context = std::make_unique<asio::io_context>();
  asio::io_context::executor_type executor = context->get_executor();
  model::payload alive;
  hf::detail::sync::mutex queue;
  wait_state* place = nullptr;
  unsigned ended = 0;
  model::bell parked;

  void before() override {
    auto owner = std::make_unique<suspended>(*this);
    place = &owner->wait;
    place->prepare(hf::time_service::of(*context), {});
    place->start(hf::never, goes_on{std::move(owner)});
  }
  void thread(unsigned n) override {
    if (n == 0) {
      context.reset();
      alive.write(1);
    } else if (n == 1) {
      resumption resumed;
      {
        const std::lock_guard lock(queue);
        if (place) place->grant(resumed);
      }
      if (resumed) resumed.post();
    }
  }
  void after() override { MUST(ended == 1); }
};

}  // namespace

int main(int argc, char** argv) {
  model::explorer e(argc, argv);
  e.explore<ends_once<false>>("a wait ends once", 3'000);
  e.explore<ends_once<true>>("a wait that may be cancelled ends once", 3'000);
  e.explore<granted_is_seen>("granted is seen", 3'000);
  e.explore<never_suspended>("never suspended", 3'000);
  e.explore<disarmed_is_over>("disarmed is over", 3'000);
  e.explore<no_timer_is_forgotten>("no timer is forgotten", 3'000);
  e.explore<a_context_goes>("a context goes", 3'000);
  return e.result();
}
