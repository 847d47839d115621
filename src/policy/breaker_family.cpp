// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <holdfast/detail/breaker_family_core.hpp>
#include <holdfast/detail/format.hpp>
#include <holdfast/detail/option_faults.hpp>
#include <holdfast/detail/probe_deadline.hpp>
#include <holdfast/detail/stable_hash.hpp>
#include <holdfast/invalid_options.hpp>
#include <random>

namespace holdfast {

namespace detail {

namespace {

breaker_family_options validated(breaker_family_options o) {
  option_faults faults;
  faults.between("max_keys", o.max_keys, 1, 100'000'000);
  faults.at_least("idle_after", o.idle_after, std::chrono::seconds(1));
  faults.raise_if_any(o.breaker.name.empty() ? "breaker family"
                                             : fmt::format("breaker family '{}'", o.breaker.name));
  return o;
}

/// Few keys share few locks: a part that is full cannot use the room of another.
std::size_t parts_for(std::uint32_t max_keys) {
  return std::clamp<std::size_t>(std::bit_floor(max_keys / 256), 1, 64);
}

std::uint32_t in_seconds(duration d) {
  const auto s = std::chrono::duration_cast<std::chrono::seconds>(d).count();
  return static_cast<std::uint32_t>(std::min<std::int64_t>(s, 1 << 30));
}

}  // namespace

breaker_family_core::breaker_family_core(breaker_family_options o, std::uint64_t seed)
    : seed_(seed),
      part_count_(parts_for((o = validated(std::move(o))).max_keys)),
      rules_(o.breaker, breaker_size::compact),
      parts_(std::make_unique<part[]>(part_count_)),
      max_keys_(o.max_keys),
      idle_after_(in_seconds(o.idle_after)) {
  rules_.name_of = [this](const void* breaker) {
    const auto* store = static_cast<const compact_breaker_store*>(breaker);
    return fmt::format("{}/{}", name(), static_cast<const entry*>(store)->key.view());
  };
}

// Finding.

std::uint32_t breaker_family_core::seconds(time_point t) noexcept {
  return static_cast<std::uint32_t>(t.time_since_epoch() / std::chrono::seconds(1)) & 0x7fff'ffffu;
}

std::uint32_t breaker_family_core::idle_seconds(const entry& e, std::uint32_t now) const noexcept {
  const std::uint32_t idle = (now - e.last_used) & 0x7fff'ffffu;
  return idle > 0x3fff'ffffu ? 0 : idle;  // used by a thread whose clock is ahead
}

std::uint64_t breaker_family_core::hash(std::string_view key) const noexcept {
  return mix_bits(stable_hash(key, seed_));
}

breaker_family_core::entry* breaker_family_core::find(part& p, std::uint64_t h,
                                                      std::string_view key) const noexcept {
  if (p.slots.empty()) return nullptr;
  const std::uint32_t tag = slot_word(h, 0) & ~place_mask;
  for (std::size_t i = home(h, p);; i = (i + 1) & (p.slots.size() - 1)) {
    const std::uint32_t word = p.slots[i];
    if (word == 0) return nullptr;
    if ((word & ~place_mask) == tag) {
      entry& e = at(p, (word & place_mask) - 1);
      if (e.key.view() == key) return &e;
    }
  }
}

breaker_family_core::entry* breaker_family_core::use(std::string_view key, time_point now) {
  const std::uint64_t h = hash(key);
  const std::uint32_t s = seconds(now);
  part& p = part_of(h);
  const std::lock_guard lock(p.mutex);
  entry* e = find(p, h, key);
  if (!e) [[unlikely]] e = insert(p, h, key, s);
  if (!e) return nullptr;
  e->last_used = s & 0x7fff'ffffu;
  e->users.fetch_add(1, std::memory_order_relaxed);
  return e;
}

breaker_family_core::entry* breaker_family_core::peek(std::string_view key) const {
  const std::uint64_t h = hash(key);
  part& p = part_of(h);
  const std::lock_guard lock(p.mutex);
  entry* const e = find(p, h, key);
  if (e) e->users.fetch_add(1, std::memory_order_relaxed);
  return e;
}

// Coming and going.

breaker_family_core::entry* breaker_family_core::insert(part& p, std::uint64_t h,
                                                        std::string_view key, std::uint32_t now) {
  forget_some(p, now);
  // Counted first: of two parts that see the last place one gets it.
  const std::uint64_t max = max_keys_.load(std::memory_order_relaxed);
  const std::uint64_t before = keys_.fetch_add(1, std::memory_order_relaxed);
  const bool part_full = p.count == place_mask && p.unused.empty();
  if ((before >= max || part_full) && !make_room(p, now)) {
    keys_.fetch_sub(1, std::memory_order_relaxed);
    return nullptr;
  }
  if (before > max) make_room(p, now);  // the bound was lowered: one more each time
  try {
    if ((p.live + 1) * 8 > p.slots.size() * 7) grow(p);
    std::size_t place = p.count;
    compact_key copy(key);
    if (!p.unused.empty()) {
      place = p.unused.back();
      p.unused.pop_back();
      std::destroy_at(&at(p, place));
    } else {
      p.unused.reserve((place / chunk_size + 1) * chunk_size);  // to forget one never allocates
      if (place == p.chunks.size() * chunk_size) {
        p.chunks.push_back(arena_.take());
      }
      ++p.count;
    }
    std::construct_at(room_at(p, place), rules_, std::move(copy), now);
    put(p, h, place);
    ++p.live;
    return &at(p, place);
  } catch (...) {
    keys_.fetch_sub(1, std::memory_order_relaxed);
    throw;
  }
}

void breaker_family_core::put(part& p, std::uint64_t h, std::size_t place) noexcept {
  std::size_t i = home(h, p);
  while (p.slots[i] != 0) i = (i + 1) & (p.slots.size() - 1);
  p.slots[i] = slot_word(h, place);
}

void breaker_family_core::grow(part& p) {
  p.slots = std::vector<std::uint32_t>(std::max<std::size_t>(p.slots.size() * 2, 16));
  for (std::size_t i = 0; i < p.count; ++i) {
    if (at(p, i).live) put(p, hash(at(p, i).key.view()), i);
  }
}

void breaker_family_core::forget(part& p, std::size_t place) noexcept {
  entry& e = at(p, place);
  const std::uint64_t h = hash(e.key.view());
  const std::size_t mask = p.slots.size() - 1;
  std::size_t hole = home(h, p);
  while (p.slots[hole] != slot_word(h, place)) hole = (hole + 1) & mask;
  // What was pushed past the hole moves up, so that no search ends too early (Knuth, volume 3,
  // algorithm 6.4R).
  for (std::size_t i = (hole + 1) & mask; p.slots[i] != 0; i = (i + 1) & mask) {
    const std::size_t at_home = home(hash(at(p, (p.slots[i] & place_mask) - 1).key.view()), p);
    if (((i - at_home) & mask) >= ((i - hole) & mask)) {
      p.slots[hole] = p.slots[i];
      hole = i;
    }
  }
  p.slots[hole] = 0;
  e.live = 0;
  p.unused.push_back(static_cast<std::uint32_t>(place));
  --p.live;
  keys_.fetch_sub(1, std::memory_order_relaxed);
  forgotten_.fetch_add(1, std::memory_order_relaxed);
}

/// Two for each new one: the idle ones are gone sooner than the new ones come.
void breaker_family_core::forget_some(part& p, std::uint32_t now) noexcept {
  const std::uint32_t limit = idle_after_.load(std::memory_order_relaxed);
  for (int i = 0; i < 2 && p.count != 0; ++i) {
    p.hand = p.hand + 1 < p.count ? p.hand + 1 : 0;
    const entry& e = at(p, p.hand);
    if (e.forgettable() && idle_seconds(e, now) >= limit) forget(p, p.hand);
  }
}

bool breaker_family_core::make_room(part& p, std::uint32_t now) noexcept {
  constexpr std::size_t looked_at = 16;
  std::size_t found = p.count;
  // The first round is for the oldest of a few, what follows for any at all.
  for (std::size_t i = 0; i < p.count; ++i) {
    if (i >= looked_at && found < p.count) break;
    p.hand = p.hand + 1 < p.count ? p.hand + 1 : 0;
    const entry& e = at(p, p.hand);
    if (!e.forgettable()) continue;
    if (found == p.count ||
        idle_seconds(e, now) > idle_seconds(at(p, found), now)) {
      found = p.hand;
    }
    if (i >= 8 * looked_at) break;  // a part full of open circuits must not cost its whole length
  }
  if (found == p.count) return false;
  forget(p, found);
  return true;
}

std::size_t breaker_family_core::forget_idle(time_point now) {
  const std::uint32_t limit = idle_after_.load(std::memory_order_relaxed);
  std::size_t gone = 0;
  for (std::size_t n = 0; n < part_count_; ++n) {
    part& p = parts_[n];
    const std::lock_guard lock(p.mutex);
    for (std::size_t i = 0; i < p.count; ++i) {
      const entry& e = at(p, i);
      if (!e.forgettable() || idle_seconds(e, seconds(now)) < limit) continue;
      forget(p, i);
      ++gone;
    }
  }
  return gone;
}

breaker_family_snapshot breaker_family_core::snapshot() const {
  breaker_family_snapshot s{};
  for (std::size_t n = 0; n < part_count_; ++n) {
    const part& p = parts_[n];
    const std::lock_guard lock(p.mutex);
    s.keys += p.live;
    for (std::size_t i = 0; i < p.count; ++i) {
      const entry& e = at(p, i);
      if (e.live && e.state() != breaker_state::closed) ++s.not_closed;
    }
  }
  s.forgotten = forgotten_.load(std::memory_order_relaxed);
  s.unguarded = unguarded_.load(std::memory_order_relaxed);
  return s;
}

void breaker_family_core::reconfigure(breaker_family_options o) {
  o = validated(std::move(o));
  o.breaker.name = name();
  rules_.reconfigure(std::move(o.breaker));
  max_keys_.store(o.max_keys, std::memory_order_relaxed);
  idle_after_.store(in_seconds(o.idle_after), std::memory_order_relaxed);
}

void breaker_family_core::describe(std::string& out) const {
  out += fmt::format("for each of at most {} keys, idle after {}: ",
                     max_keys_.load(std::memory_order_relaxed),
                     format_duration(std::chrono::seconds(
                         idle_after_.load(std::memory_order_relaxed))));
  describe_breaker(out, *rules_.options());
}

// The layer.

namespace {

breaker_outcome outcome_of(const breaker_family_entry& e, const operation& op, time_point now) {
  return {.now = now,
          .retry_after = op.retry_after,
          .random = e.rules().jittered() ? op.random() : 0,
          .clock = &op.time()};
}

/// The use of an entry: given back also where a change of its state finds no memory.
struct ends_use {
  void operator()(breaker_family_entry* e) const noexcept { e->release(); }
};
using entry_use = std::unique_ptr<breaker_family_entry, ends_use>;

}  // namespace

void breaker_family_layer::frame::give_back() noexcept {
  entry->leave_slow(permit, verdict::neutral, {});
  entry->release();
}

step breaker_family_layer::enter(frame& f, operation& op) const {
  breaker_family_entry* const e = core_->use(op.tenant(), op.now());
  if (!e) [[unlikely]] {
    core_->count_unguarded();
    return step::go;
  }
  f.entry = e;  // gives the use back, whatever happens
  if (!e->try_enter(f.permit, op.now(), &op.time())) [[unlikely]] {
    f.entry = nullptr;
    const step s = refuse(*e, op);
    e->release();
    return s;
  }
  if (f.permit.mark != 0 && f.permit.is_probe()) [[unlikely]] {
    op.start_edge_precisely();  // listeners may have been told that the circuit is half-open
    narrow_probe(f.permit, op, *core_->rules().options());
  }
  return step::go;
}

step breaker_family_layer::leave(frame& f, operation& op, verdict v) const {
  const entry_use e(std::exchange(f.entry, nullptr));
  if (!e) [[unlikely]] return step::go;
  const std::uint64_t generation = e->generation();
  if (f.permit.mark == 0 && v == verdict::success) [[likely]] {
    if (e->count_good(f.permit, op.now())) [[unlikely]] {
      e->judge(f.permit.word, outcome_of(*e, op, op.time().precise_now()));
    }
  } else {
    widen_probe(f.permit, op);
    e->leave_slow(f.permit, op.of_service(v), outcome_of(*e, op, op.now()));
  }
  // Listeners have had their time.
  if (e->generation() != generation) [[unlikely]] op.start_edge_precisely();
  return step::go;
}

step breaker_family_layer::refuse(const breaker_family_entry& e, operation& op) const {
  const duration remaining = e.remaining_open(op.now());
  op.refuse({.code = e.state() == breaker_state::isolated ? errc::circuit_isolated
                                                          : errc::circuit_open,
             .policy = policy_kind::circuit_breaker,
             .policy_name = &core_->name(),
             .retry_after = remaining > duration::zero() ? remaining : duration(-1)});
  return step::refuse;
}

void breaker_family_layer::describe(std::string& out) const { core_->describe(out); }

}  // namespace detail

// The handle.

breaker_family::breaker_family(options o)
    : core_(std::make_shared<detail::breaker_family_core>(
          std::move(o), std::uint64_t{std::random_device()()} << 32 | std::random_device()())) {}

std::string_view breaker_family::name() const noexcept { return core_->name(); }

breaker_state breaker_family::state(std::string_view key) const {
  const detail::entry_use e(core_->peek(key));
  return e ? e->state() : breaker_state::closed;
}

std::optional<breaker_snapshot> breaker_family::snapshot_of(std::string_view key,
                                                            time_point now) const {
  const detail::entry_use e(core_->peek(key));
  if (!e) return std::nullopt;
  return e->snapshot(now);
}

bool breaker_family::isolate(std::string_view key, time_point now) {
  const detail::entry_use e(core_->use(key, now));
  if (!e) return false;
  e->isolate(now);
  return true;
}

void breaker_family::reset(std::string_view key, time_point now) {
  const detail::entry_use e(core_->peek(key));
  if (e) e->reset(now);
}

std::size_t breaker_family::forget_idle(time_point now) { return core_->forget_idle(now); }
breaker_family_snapshot breaker_family::snapshot() const { return core_->snapshot(); }
void breaker_family::reconfigure(options o) { core_->reconfigure(std::move(o)); }
subscription breaker_family::on_transition(
    std::function<void(const breaker_transition&)> listener) {
  return core_->on_transition(std::move(listener));
}

}  // namespace holdfast
