// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_SYNC_HPP
#define HOLDFAST_DETAIL_SYNC_HPP

// Stands in for the library's header of this name where kernels are explored: the same types, by
// way of relacy. Every operation is a place at which another thread may go on, a load may give any
// value that the memory model lets it see, and a weak compare-and-swap may fail for no reason.

#include <relacy/base.hpp>
#include <relacy/context.hpp>
#include <relacy/context_base_impl.hpp>

#include <relacy/atomic.hpp>
#include <relacy/var.hpp>

#include <relacy/stdlib/condition_variable.hpp>
#include <relacy/stdlib/event.hpp>
#include <relacy/stdlib/mutex.hpp>
#include <relacy/stdlib/semaphore.hpp>
#include <relacy/test_suite.hpp>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>
#include <vector>

namespace holdfast::detail::sync {

using place = std::source_location;

inline rl::debug_info at(const place& p) {
  const char* const slash = std::strrchr(p.file_name(), '/');
  return {p.function_name(), slash ? slash + 1 : p.file_name(), static_cast<unsigned>(p.line())};
}

constexpr rl::memory_order order(std::memory_order o) {
  switch (o) {
    case std::memory_order_relaxed: return rl::mo_relaxed;
    case std::memory_order_consume: return rl::mo_consume;
    case std::memory_order_acquire: return rl::mo_acquire;
    case std::memory_order_release: return rl::mo_release;
    case std::memory_order_acq_rel: return rl::mo_acq_rel;
    case std::memory_order_seq_cst: break;
  }
  return rl::mo_seq_cst;
}

/// Of an atomic pointer: whoever loads it is to read what it points to, so that must have been
/// written before, as far as the reader can tell. Nothing for other types.
template <class T>
class published {
 public:
  void write(T, const place&) {}
  void read(T, const place&) const {}
};
template <class T>
class published<T*> {
 public:
  void write(T* p, const place& at_place) {
    if (p == nullptr || find(p)) return;
    known_.emplace_back(p, std::make_unique<rl::var<unsigned>>());
    (*known_.back().second)(at(at_place)) = 1;
  }
  void read(T* p, const place& at_place) const {
    if (auto* const v = find(p)) static_cast<void>((*v)(at(at_place)).load());
  }

 private:
  rl::var<unsigned>* find(T* p) const {
    for (const auto& [known, v] : known_) {
      if (known == p) return v.get();
    }
    return nullptr;
  }
  std::vector<std::pair<T*, std::unique_ptr<rl::var<unsigned>>>> known_;
};

/// `std::atomic`, as far as Holdfast uses it. One that is made outside of an exploration, with the
/// program's statics, is an ordinary value: the fibers that stand for threads are one thread.
template <class T>
class atomic {
  // What relacy can print.
  using kept = std::conditional_t<
      std::is_pointer_v<T>, std::uintptr_t,
      std::conditional_t<std::is_enum_v<T> || sizeof(T) == 1, unsigned, T>>;
  static kept in(T v) noexcept {
    if constexpr (std::is_pointer_v<T>) {
      return reinterpret_cast<kept>(v);
    } else {
      return static_cast<kept>(v);
    }
  }
  static T out(kept k) noexcept {
    if constexpr (std::is_pointer_v<T>) {
      return reinterpret_cast<T>(k);
    } else {
      return static_cast<T>(k);
    }
  }

 public:
  atomic() : atomic(T{}) {}
  atomic(T v) : plain_(v), is_explored_(rl::is_ctx()) {
    if (is_explored_ && v != T{}) store(v, std::memory_order_relaxed);
  }
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;

  T load(std::memory_order o = std::memory_order_seq_cst,
         place p = place::current()) const {
    if (!is_explored_) return plain_;
    const T v = out(explored().load(order(o), at(p)));
    pointees_.read(v, p);
    return v;
  }
  void store(T v, std::memory_order o = std::memory_order_seq_cst, place p = place::current()) {
    plain_ = v;
    if (!is_explored_) return;
    pointees_.write(v, p);
    explored().store(in(v), order(o), at(p));
  }
  T exchange(T v, std::memory_order o = std::memory_order_seq_cst, place p = place::current()) {
    return change(v, [&](auto& a) { return a.exchange(in(v), order(o), at(p)); });
  }
  T fetch_add(T v, std::memory_order o = std::memory_order_seq_cst, place p = place::current()) {
    return change(static_cast<T>(plain_ + v),
                  [&](auto& a) { return a.fetch_add(in(v), order(o), at(p)); });
  }
  T fetch_sub(T v, std::memory_order o = std::memory_order_seq_cst, place p = place::current()) {
    return change(static_cast<T>(plain_ - v),
                  [&](auto& a) { return a.fetch_sub(in(v), order(o), at(p)); });
  }
  T fetch_or(T v, std::memory_order o = std::memory_order_seq_cst, place p = place::current()) {
    return change(static_cast<T>(plain_ | v),
                  [&](auto& a) { return a.fetch_or(in(v), order(o), at(p)); });
  }
  T fetch_and(T v, std::memory_order o = std::memory_order_seq_cst, place p = place::current()) {
    return change(static_cast<T>(plain_ & v),
                  [&](auto& a) { return a.fetch_and(in(v), order(o), at(p)); });
  }

  bool compare_exchange_weak(T& seen, T v, std::memory_order o = std::memory_order_seq_cst,
                             place p = place::current()) {
    return compare_exchange_weak(seen, v, o, on_failure(o), p);
  }
  bool compare_exchange_strong(T& seen, T v, std::memory_order o = std::memory_order_seq_cst,
                               place p = place::current()) {
    return compare_exchange_strong(seen, v, o, on_failure(o), p);
  }
  bool compare_exchange_weak(T& seen, T v, std::memory_order o, std::memory_order failed,
                             place p = place::current()) {
    return compare(seen, v, [&](auto& a, kept& k) {
      return a.compare_exchange_weak(k, in(v), order(o), at(p), order(failed), at(p));
    });
  }
  bool compare_exchange_strong(T& seen, T v, std::memory_order o, std::memory_order failed,
                               place p = place::current()) {
    return compare(seen, v, [&](auto& a, kept& k) {
      return a.compare_exchange_strong(k, in(v), order(o), at(p), order(failed), at(p));
    });
  }

 private:
  static constexpr std::memory_order on_failure(std::memory_order o) {
    if (o == std::memory_order_acq_rel) return std::memory_order_acquire;
    if (o == std::memory_order_release) return std::memory_order_relaxed;
    return o;
  }

  template <class Operation>
  T change(T v, Operation operation) {
    if (is_explored_) return out(operation(explored()));
    return std::exchange(plain_, v);
  }
  template <class Operation>
  bool compare(T& seen, T v, Operation operation) {
    if (!is_explored_) {
      const bool same = plain_ == seen;
      (same ? plain_ : seen) = same ? v : plain_;
      return same;
    }
    kept k = in(seen);
    const bool done = operation(explored(), k);
    seen = out(k);
    return done;
  }

  /// Made when it is first used, since most of a kernel's counters never are.
  using from_zero = rl::generic_atomic<kept, true>;
  from_zero& explored() const {
    if (!explored_) explored_.emplace();
    return *explored_;
  }

  T plain_;
  const bool is_explored_;
  [[no_unique_address]] published<T> pointees_;
  mutable std::optional<from_zero> explored_;
};

/// `std::mutex`. One that outlives a run of the model, as the program's statics do, is new in each.
class mutex {
 public:
  constexpr mutex() noexcept = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;
  ~mutex() {
    if (run_ == this_run) forget();
  }

  void lock(place p = place::current()) {
    if (rl::is_ctx()) explored().lock(at(p));
  }
  bool try_lock(place p = place::current()) {
    return !rl::is_ctx() || explored().try_lock(at(p));
  }
  void unlock(place p = place::current()) {
    if (rl::is_ctx()) explored().unlock(at(p));
  }

  /// At the begin of a run, and at its end where it came to one.
  static void begin_run() noexcept {
    ++this_run;
    known = nullptr;
  }
  static void end_run() {
    while (known) known->forget();
  }

 private:
  rl::mutex& explored() {
    if (run_ != this_run) {
      run_ = this_run;
      explored_ = ::new (std::malloc(sizeof(rl::mutex))) rl::mutex;
      next_ = std::exchange(known, this);
    }
    return *explored_;
  }
  void forget() {
    for (mutex** m = &known; *m; m = &(*m)->next_) {
      if (*m != this) continue;
      *m = next_;
      break;
    }
    run_ = 0;
    std::destroy_at(explored_);
    std::free(explored_);
  }

  static inline std::uint64_t this_run = 0;
  static inline mutex* known = nullptr;

  std::uint64_t run_ = 0;
  rl::mutex* explored_ = nullptr;
  mutex* next_ = nullptr;
};

/// Which thread of the model.
inline std::uintptr_t this_thread() noexcept {

  return rl::is_ctx() ? 2 + rl::thread_index() : 1;
}

/// Lets another thread go on.
inline void relax(unsigned) {
  if (rl::is_ctx()) rl::ctx().yield(1, at(place::current()));
}

using short_mutex = mutex;

}  // namespace holdfast::detail::sync

#endif
