// SPDX-License-Identifier: BSL-1.0
// Real threads and real, short times: what virtual time cannot show is a race.
#include <fmt/format.h>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <future>
#include <holdfast/invalid_options.hpp>
#include <optional>
#include <thread>
#include <vector>

#include "callers.hpp"
#include "executors.hpp"
#include "oracle.hpp"
#include "supervise.hpp"

namespace gen {

namespace {

// The longest wait of a trial is a fraction of a second, and a timeout that keeps `join` lasts hours. In
// between lies what a busy machine may take.
constexpr auto patience = 40s;
constexpr auto prompt = 40s;

class real_world final : public world {
 public:
  explicit real_world(const trial& t) {
    clients = t.clients;
    operations.resize(clients.size());
    slack = patience;
    made_executor made;
    if (t.place.context == context_kind::pool) {
      pool_.emplace(4u);
      made = make_executor(*pool_, t.place.executor, owner_);
    } else {
      if (t.place.context == context_kind::serial) {
        context_.emplace(1);
      } else {
        context_.emplace();
      }
      thread_count_ = t.place.context == context_kind::threads ? 4 : 1;
      made = make_executor(*context_, t.place.executor, owner_);
    }
    home = made.executor;
    knows_home = made.here;
    elsewhere = elsewhere_->get_executor();
  }

  ~real_world() override { destroy(); }

  hf::time_point now() const override { return hf::clock::now(); }

  void later(hf::duration d, asio::any_io_executor where,
             asio::any_completion_handler<void()> f) override {
    auto timer = std::make_shared<asio::steady_timer>(elsewhere, d);
    timer->async_wait(asio::bind_executor(
        elsewhere, [timer, where = std::move(where), f = std::move(f)](error_code) mutable {
          asio::post(where, std::move(f));
        }));
  }

  void run() {
    for (int i = 0; i < thread_count_; ++i) {
      threads_.emplace_back([this] { context_->run(); });
    }
  }

  bool at_rest() const { return unfinished == 0 && running == 0; }

  /// Waits until all has ended, or gives up. False: time is over.
  bool wait_for(hf::duration d, const std::function<bool()>& ended) const {
    const auto until = now() + d;
    while (!ended()) {
      if (now() > until) return false;
      std::this_thread::sleep_for(200us);  // other threads run the trial in real time
    }
    return true;
  }

  /// Waits for the threads of the context. False: they do not end.
  bool join() {
    home = {};
    knows_home = nullptr;
    std::atomic<bool> joined{false};
    std::thread joining([this, &joined] {
      join_all();
      joined = true;
    });
    if (!wait_for(prompt, [&] { return joined.load(); })) {
      joining.detach();
      return false;
    }
    joining.join();
    return true;
  }

  void stop() {
    if (pool_) pool_->stop();
    if (context_) context_->stop();
    join_all();
  }

  void destroy() {
    if (!context_ && !pool_) return;
    stop();
    gone = true;
    knows_home = nullptr;
    home = elsewhere = {};
    elsewhere_->stop();
    elsewhere_->join();
    elsewhere_.reset();
    context_.reset();
    pool_.reset();
  }

  int kept_executors() const { return owner_.copies; }

 private:
  void join_all() {
    for (auto& t : threads_) t.join();
    threads_.clear();
    if (pool_) pool_->join();
  }

  own_executor::owner owner_;
  std::optional<asio::io_context> context_;
  std::optional<asio::thread_pool> pool_;
  int thread_count_ = 0;
  std::vector<std::thread> threads_;
  std::optional<asio::thread_pool> elsewhere_{2u};
};

verdict_of verdict(const world& w) { return {.kind = w.kind(), .what = w.what(), .skipped = false}; }

/// Ends the process: what hangs cannot be taken down.
[[noreturn]] void give_up(world& w, const std::string& kind, const std::string& what) {
  w.complain(kind, what);
  report_and_exit(verdict(w));
}

void start(world& w, const any_stack& stack) {
  for (std::size_t i = 0; i < w.clients.size(); ++i) {
    const int op = static_cast<int>(i);
    const client& c = w.clients[i];
    start_client(w, stack, op);
    if (c.cancels == cancel_when::before_first_step) w.cancel(op, c.type);
    if (c.cancels == cancel_when::later) {
      w.later(c.cancels_after, w.home, [&w, op, type = c.type] { w.cancel(op, type); });
    }
  }
}

std::string unfinished(const world& w) {
  std::string s;
  for (std::size_t i = 0; i < w.operations.size(); ++i) {
    const auto& o = w.operations[i];
    if (o.completions + o.drops == 0) s += fmt::format(" {}", i);
  }
  return s;
}

}  // namespace

verdict_of run_on_threads(draw& d) {
  const trial t = read(d, true);
  real_world w(t);
  std::unique_ptr<any_stack> stack;
  materials m(w);
  try {
    stack = make_stack(d, m);
  } catch (const hf::invalid_options&) {
    return {.kind = {}, .what = {}, .skipped = true};
  }
  stack->each_part([&w](part& p) { p.tell(w.facts); });

  start(w, *stack);
  w.run();
  if (t.end.kind == end_kind::drops_objects) {
    stack->each_part([](part& p) { p.let_go(); });
  }
  if (t.end.kind == end_kind::destroys) {
    // The context is destroyed at a moment of real time, while its threads run.
    std::this_thread::sleep_for(std::chrono::microseconds(200 * t.end.step));
    w.destroy();
  } else {
    if (!w.wait_for(patience, [&] { return w.unfinished == 0; })) {
      give_up(w, "hang", "operations have not ended:" + unfinished(w));
    }
    if (t.end.kind == end_kind::drops_stack) stack.reset();
    if (!w.wait_for(patience, [&] { return w.at_rest(); })) {
      give_up(w, "attempt-hangs", "an attempt has not ended");
    }
    if (!w.join()) give_up(w, "join-late", "nothing runs any more, and the threads do not end");
    if (const int n = w.kept_executors()) {
      w.complain("executor-kept", fmt::format("{} copies of an executor are kept", n));
    }
    check_operations(w);
    check_budget(w, m);
    w.destroy();
  }
  if (t.end.kind == end_kind::destroys) check_operations(w);
  if (stack && !w.failed()) check_rest(w, *stack);
  stack.reset();
  if (w.frames != 0) w.complain("frames-left", "frames outlived their context");
  if (w.callables != 0) {
    w.complain("callables-left", fmt::format("{} callables are left", w.callables.load()));
  }
  return verdict(w);
}

}  // namespace gen
