// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_CANCELLATION_SCOPE_HPP
#define HOLDFAST_DETAIL_CANCELLATION_SCOPE_HPP

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <cstdint>
#include <holdfast/detail/gate.hpp>
#include <utility>

namespace holdfast::detail {

namespace asio = boost::asio;

/// Why a scope was cancelled.
enum class cancel_reason : std::uint8_t { none, deadline, caller };

class cancellation_scope;

/// What hears a scope's cancellation. Linked and told under the scope's gate.
struct scope_listener {
  using teller = void (*)(scope_listener&, asio::cancellation_type_t);

  explicit scope_listener(teller t) noexcept : tell(t) {}
  scope_listener(const scope_listener&) = delete;

  teller tell;
  cancellation_scope* scope = nullptr;  // null: not linked, or the scope has gone
  scope_listener* next = nullptr;
  scope_listener* prev = nullptr;
  std::uint8_t told = 0;                  // the types that it has heard
  sync::atomic<std::uint8_t> wanted{0};   // types for this listener alone
};

/// What is cancelled as one: an operation's attempt, with every operation that it awaits through its
/// context, and with the operations nested in it.
///
/// A scope that is cancelled stays cancelled, and remembers why: what is linked afterwards is told
/// as well. The caller's cancellation overrules a deadline's.
///
/// Cancellation is emitted under the scope's gate, which the start and the end of everything linked
/// pass too. So it never meets an operation that is half started, whatever thread starts it. The
/// gate has one owner at a time; a cancellation that finds it taken is emitted by the owner on its
/// way out.
class cancellation_scope {
 public:
  cancellation_scope() = default;
  cancellation_scope(const cancellation_scope&) = delete;

  cancel_reason reason() const noexcept { return reason_of(state()); }

  /// Cancels, from any thread. What hears it hears it on this stack, or on the owner's.
  void ring(cancel_reason why, asio::cancellation_type_t type) noexcept {
    if (begin_ring(why, type)) finish_ring();
  }
  /// The same in two steps: true if the gate is held now, so that nothing linked can go before
  /// `finish_ring`.
  bool begin_ring(cancel_reason why, asio::cancellation_type_t type) noexcept {
    note(why, type);
    return look_again();
  }
  void finish_ring() noexcept {
    if (emit()) leave();
  }
  /// Has the listeners looked at again, without a new reason: as `begin_ring`.
  bool look_again() noexcept {
    if (gate_.mine()) {
      gate_.ring_on_leaving();
      return false;
    }
    return gate_.enter_or_ring();
  }
  /// Has one listener look at its state again: it is told `look_bit`, each time. As `begin_ring`.
  static constexpr std::uint8_t look_bit = 8;
  static constexpr std::uint8_t all_bits = 7;
  bool begin_look(scope_listener& listener) noexcept {
    listener.wanted.fetch_or(look_bit, std::memory_order_relaxed);
    return look_again();
  }
  /// Tells one listener only.
  void ring_one(scope_listener& listener, asio::cancellation_type_t type) noexcept {
    listener.wanted.fetch_or(bits_of(type), std::memory_order_relaxed);
    if (look_again()) finish_ring();
  }

  /// Notes a reason that nothing needs to be told of any more.
  void note(cancel_reason why, asio::cancellation_type_t type) noexcept {
    std::uint32_t seen = state();
    std::uint32_t next;
    do {
      const bool overrules = reason_of(seen) == cancel_reason::none || why == cancel_reason::caller;
      next = seen | bits_of(type);
      if (overrules) next = (next & type_bits) | static_cast<std::uint32_t>(why) << reason_shift;
    } while (!state_.compare_exchange_weak(seen, next, std::memory_order_release,
                                           std::memory_order_relaxed));
  }

  /// Forgets everything. Under the gate, while nothing is linked that could be told.
  void reset() noexcept { state_.store(0, std::memory_order_relaxed); }

  /// Opens the scope for the next attempt: a deadline's cancellation is over, the caller's is not.
  void reopen() noexcept {
    std::uint32_t seen = state();
    while (reason_of(seen) == cancel_reason::deadline &&
           !state_.compare_exchange_weak(seen, 0, std::memory_order_relaxed)) {
    }
  }

  /// Ends all use of the scope, from any thread; waits for a cancellation that is being emitted. What
  /// is still linked hears nothing more.
  void close() noexcept;

  /// Whether nothing is linked and nothing is being emitted. For one whom nothing rings any more.
  bool is_quiet() const noexcept { return listeners_ == nullptr && gate_.is_free(); }

  /// Something that runs under the gate. It may end the attempt, and the scope with it: `gone` then.
  class visit {
   public:
// GCC does not see that a visit leaves the list before it goes, or has been taken out of it.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdangling-pointer"
#endif
    explicit visit(cancellation_scope& s) noexcept : scope_(&s), outer_(s.visits_) {
      s.visits_ = this;
    }
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
    visit(const visit&) = delete;
    ~visit() {
      if (scope_) scope_->visits_ = outer_;
    }
    bool gone() const noexcept { return scope_ == nullptr; }

   private:
    friend class cancellation_scope;
    cancellation_scope* scope_;
    visit* outer_;
  };

  /// A visit that takes the gate, unless this thread is inside already.
  class entry {
   public:
    explicit entry(cancellation_scope& s) noexcept
        : scope_(s), nested_(s.mine()), visit_((enter(s, nested_), s)) {}
    ~entry() {
      if (!nested_ && !visit_.gone()) scope_.leave_from(visit_);
    }
    bool gone() const noexcept { return visit_.gone(); }

   private:
    static void enter(cancellation_scope& s, bool nested) noexcept {
      if (!nested) s.gate_.enter();
    }
    cancellation_scope& scope_;
    const bool nested_;
    visit visit_;
  };

  bool mine() const noexcept { return gate_.mine(); }
  gate& door() noexcept { return gate_; }

  /// Ends every visit, and leaves the gate: the attempt is over, and what runs next is not its own.
  void release() noexcept;

  /// Leaves the gate after the outermost visit.
  void leave() noexcept {
    gate_.leave([this] { return emit(); });
  }
  void leave_from(visit& outermost) noexcept {
    visits_ = outermost.outer_;
    outermost.scope_ = nullptr;
    leave();
  }

  /// Links, and unlinks, where all rings of the scope come from: `at_home`. Else under the gate.
  void link(scope_listener& listener, bool at_home) noexcept {
    if (at_home && types() == 0) return link(listener);
    const entry in(*this);
    link(listener);
  }
  static void unlink(scope_listener& listener, bool at_home) noexcept {
    cancellation_scope* const scope = listener.scope;
    if (!scope) return;
    if (at_home) return scope->unlink(listener);
    const entry in(*scope);
    if (listener.scope) scope->unlink(listener);
  }

  // Under the gate.
  void link(scope_listener& listener) noexcept {
    listener.scope = this;
    listener.prev = nullptr;
    listener.next = listeners_;
    if (listeners_) listeners_->prev = &listener;
    listeners_ = &listener;
    if (types_of(state()) != 0) [[unlikely]] gate_.ring_on_leaving();
  }
  void unlink(scope_listener& listener) noexcept {
    (listener.prev ? listener.prev->next : listeners_) = listener.next;
    if (listener.next) listener.next->prev = listener.prev;
    listener.scope = nullptr;
  }
  std::uint8_t types() const noexcept { return types_of(state()); }

  static asio::cancellation_type_t type_of(std::uint8_t bits) noexcept {
    return bits == all_bits ? asio::cancellation_type::all
                            : static_cast<asio::cancellation_type_t>(bits);
  }

 private:
  static constexpr std::uint32_t type_bits = 0xff;
  static constexpr unsigned reason_shift = 8;

  static std::uint8_t bits_of(asio::cancellation_type_t type) noexcept {
    return static_cast<std::uint8_t>(static_cast<unsigned>(type) & all_bits);
  }
  static cancel_reason reason_of(std::uint32_t state) noexcept {
    return static_cast<cancel_reason>(state >> reason_shift);
  }
  static std::uint8_t types_of(std::uint32_t state) noexcept {
    return static_cast<std::uint8_t>(state & type_bits);
  }
  std::uint32_t state() const noexcept { return state_.load(std::memory_order_acquire); }

  /// Tells everything linked what it has not heard; false if the scope went meanwhile.
  bool emit() noexcept;

  sync::atomic<std::uint32_t> state_{0};  // the types that were emitted, and why
  gate gate_;
  visit* visits_ = nullptr;
  scope_listener* listeners_ = nullptr;
};

}  // namespace holdfast::detail

#endif
