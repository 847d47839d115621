// SPDX-License-Identifier: BSL-1.0
// The cache and single flight: cancelled, and the executor destroyed, at each step in turn.
#include "sweep.hpp"

namespace {

using namespace sweep;

/// Gives every operation of the pipeline the same key.
template <class Pipeline>
struct with_key {
  Pipeline pipeline;
  template <class Call>
  asio::awaitable<hf::result<int>> operator()(Call call) const {
    return pipeline(std::move(call), {.cache_key = "key"});
  }
};
template <class Pipeline>
with_key(Pipeline) -> with_key<Pipeline>;

hf::cache_options<int> short_lived() {
  return {.name = "cache", .ttl = 10ms, .ttl_jitter = 0};
}

/// A world has no cache of its own: one for each run, kept by whoever uses it.
struct shared_cache {
  explicit shared_cache(hf::cache_options<int> o) : options(std::move(o)) {}
  void renew() { cache.emplace(options); }
  auto guard() const { return with_key{hf::pipeline().with(*cache)}; }
  void check() const {
    const auto s = cache->snapshot();
    CHECK(s.flights == 0);
  }
  hf::cache_options<int> options;
  std::optional<hf::cache<int>> cache;
};

void sweep_cache(scenario s, shared_cache& shared, const std::function<void(world&)>& prepare,
                 bool reaches_its_call = true) {
  s.prepare = [&shared, prepare](world& w) {
    if (shared.cache) shared.check();  // what the run before has left
    shared.renew();
    prepare(w);
  };
  sweep_policy(s, [&shared, reaches_its_call](world& w) {
    if (!reaches_its_call) ++w.counts.calls_made;
    return shared.guard();
  });
  shared.check();
}

void other(world& w, const shared_cache& shared, script acts) {
  start_other(w, shared.guard(), plain_call{capture(w.other_counts, std::move(acts))});
}

}  // namespace

TEST_CASE("cancellation sweep: cache, a miss and nobody else") {
  shared_cache shared(short_lived());
  sweep_cache({.name = "a miss", .acts = {{.lasts = 2ms}}}, shared, [](world&) {});
  sweep_cache(
      {.name = "a miss that fails",
       .acts = {{.lasts = 2ms, .fails = true}},
       .expect = [](auto& r) { return r.has_error() && r.error().code() == failed_code(); }},
      shared, [](world&) {});
}

TEST_CASE("cancellation sweep: cache, the leader has followers") {
  // Whatever becomes of the leader, those who followed it must have an answer.
  shared_cache shared(short_lived());
  sweep_cache({.name = "leader", .acts = {{.lasts = 3ms}}, .posts = true}, shared, [&](world& w) {
    for (int i = 0; i < 2; ++i) {
      asio::post(w.executor, [&w, &shared] {
        asio::post(w.executor, [&w, &shared] { other(w, shared, {{.lasts = 2ms}}); });
      });
    }
  });
}

TEST_CASE("cancellation sweep: cache, a follower") {
  shared_cache shared(short_lived());
  sweep_cache({.name = "follower", .acts = {{.lasts = 2ms}}}, shared, [&](world& w) {
    other(w, shared, {{.lasts = 3ms}});
    other(w, shared, {{.lasts = 3ms}});
    w.time->poll();
  }, false);
}

TEST_CASE("cancellation sweep: cache, a follower that is elected") {
  shared_cache shared(short_lived());
  sweep_cache({.name = "elected", .acts = {{.lasts = 2ms}}}, shared, [&](world& w) {
    // The leader runs out of time.
    start_other(w, with_key{hf::pipeline().with(*shared.cache).with(hf::timeout{.after = 1ms})},
                plain_call{capture(w.other_counts, {{.lasts = 9ms}})});
    w.time->poll();
  });
}

TEST_CASE("cancellation sweep: cache, a fetch in the background") {
  auto options = short_lived();
  options.stale_while_revalidate = 1h;
  shared_cache shared(options);
  sweep_cache({.name = "background", .acts = {{.lasts = 2ms}}, .calls_go_on = true}, shared,
              [&](world& w) {
                other(w, shared, {{.lasts = 1ms}});
                w.time->run();
                w.time->run_for(20ms);
              });
}

TEST_CASE("cancellation sweep: cache, the last good answer") {
  std::optional<hf::cache<int>> cache;
  const auto guard = [&](world&) { return with_key{hf::pipeline().fallback(*cache)}; };
  sweep_policy({.name = "an answer is kept",
                .acts = {{.lasts = 2ms}},
                .prepare = [&](world&) { cache.emplace(short_lived()); }},
               guard);
  sweep_policy({.name = "a kept answer is given",
                .acts = {{.lasts = 2ms, .fails = true}},
                .prepare =
                    [&](world& w) {
                      cache.emplace(short_lived());
                      cache->put("key", 5, w.time->now());
                    },
                .expect = [](auto& r) { return r.has_value() && r.assume_value() == 5; }},
               guard);
}
