// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_BREAKER_FAMILY_CORE_HPP
#define HOLDFAST_DETAIL_BREAKER_FAMILY_CORE_HPP

#include <cstdint>
#include <cstddef>
#include <holdfast/detail/breaker_cell.hpp>
#include <holdfast/detail/chunk_arena.hpp>
#include <holdfast/detail/compact_key.hpp>
#include <holdfast/detail/sync.hpp>
#include <holdfast/policy/breaker_family.hpp>
#include <memory>
#include <new>
#include <string>
#include <vector>

namespace holdfast::detail {

/// One key's breaker. Whoever uses it is counted, and it is not forgotten meanwhile. What is looked
/// at to find it lies within one cache line, if the key is short.
struct alignas(32) breaker_family_entry : breaker_cell {
  breaker_family_entry(breaker_rules& rules, compact_key k, std::uint32_t now) noexcept
      : breaker_cell(rules), last_used(now & 0x7fff'ffffu), key(std::move(k)) {}

  void release() noexcept { users.fetch_sub(1, std::memory_order_release); }
  bool forgettable() const noexcept {
    return live && users.load(std::memory_order_acquire) == 0 && state() == breaker_state::closed;
  }

  sync::atomic<std::uint32_t> users{0};  // raised under the lock of the part only
  std::uint32_t last_used : 31;         // in seconds; under that lock, as what follows
  std::uint32_t live : 1 = 1;
  compact_key key;
};

/// Breakers by key, in parts with a lock each.
///
/// A part keeps its entries at fixed places, and finds them by open addressing with linear probing
/// over words of four bytes: a place, and eight bits of the hash that spare most looks at an entry.
class breaker_family_core {
 public:
  using entry = breaker_family_entry;

  /// The hash is seeded, so that whoever chooses the keys cannot choose them to collide.
  breaker_family_core(breaker_family_options o, std::uint64_t seed);

  /// The key's entry, made where it is missing, to be released; null if there is no room.
  entry* use(std::string_view key, time_point now);

  /// The same where it exists; null otherwise.
  entry* peek(std::string_view key) const;

  std::size_t forget_idle(time_point now);
  breaker_family_snapshot snapshot() const;
  void reconfigure(breaker_family_options o);
  subscription on_transition(std::function<void(const breaker_transition&)> listener) {
    return rules_.events.subscribe(std::move(listener));
  }
  void count_unguarded() noexcept { unguarded_.fetch_add(1, std::memory_order_relaxed); }

  const std::string& name() const noexcept { return rules_.name(); }
  breaker_rules& rules() noexcept { return rules_; }
  void describe(std::string& out) const;

 private:
  static constexpr std::size_t chunk_size = 64;
  struct alignas(64) part {
    ~part() {
      for (std::size_t i = 0; i < count; ++i) std::destroy_at(&at(*this, i));
    }
    mutable sync::mutex mutex;
    std::vector<std::byte*> chunks;     // of the arena
    std::size_t count = 0;              // entries made, forgotten ones included
    std::vector<std::uint32_t> unused;  // places of forgotten entries
    std::vector<std::uint32_t> slots;   // zero: empty; a power of two of them
    std::size_t live = 0;
    std::size_t hand = 0;  // where the search for idle ones goes on
  };

  static constexpr std::uint32_t place_bits = 24;
  static constexpr std::uint32_t place_mask = (1u << place_bits) - 1;

  static std::uint32_t seconds(time_point t) noexcept;
  std::uint32_t idle_seconds(const entry& e, std::uint32_t now) const noexcept;
  std::uint64_t hash(std::string_view key) const noexcept;
  static entry* room_at(const part& p, std::size_t place) noexcept {
    return reinterpret_cast<entry*>(p.chunks[place / chunk_size] +
                                    place % chunk_size * sizeof(entry));
  }
  static entry& at(const part& p, std::size_t place) noexcept {
    return *std::launder(room_at(p, place));
  }
  part& part_of(std::uint64_t h) const noexcept { return parts_[h & (part_count_ - 1)]; }
  static std::size_t home(std::uint64_t h, const part& p) noexcept {
    return (h >> 16) & (p.slots.size() - 1);
  }
  static std::uint32_t slot_word(std::uint64_t h, std::size_t place) noexcept {
    return static_cast<std::uint32_t>(h >> 56 << place_bits | (place + 1));
  }

  // Under the lock of the part.
  entry* find(part& p, std::uint64_t h, std::string_view key) const noexcept;
  entry* insert(part& p, std::uint64_t h, std::string_view key, std::uint32_t now);
  void put(part& p, std::uint64_t h, std::size_t place) noexcept;
  void grow(part& p);
  void forget(part& p, std::size_t place) noexcept;
  void forget_some(part& p, std::uint32_t now) noexcept;
  bool make_room(part& p, std::uint32_t now) noexcept;

  const std::uint64_t seed_;
  const std::size_t part_count_;
  breaker_rules rules_;
  chunk_arena arena_{chunk_size * sizeof(entry)};
  std::unique_ptr<part[]> parts_;
  sync::atomic<std::uint32_t> max_keys_;
  sync::atomic<std::uint32_t> idle_after_;  // in seconds
  sync::atomic<std::uint64_t> keys_{0};
  sync::atomic<std::uint64_t> forgotten_{0};
  sync::atomic<std::uint64_t> unguarded_{0};
};

}  // namespace holdfast::detail

#endif
