// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_PLACE_HPP
#define HOLDFAST_DETAIL_PLACE_HPP

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution/allocator.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstdint>
#include <holdfast/detail/post_memory.hpp>
#include <holdfast/time/time_service.hpp>
#include <utility>

namespace holdfast {

/// Who keeps two handlers of an executor from running concurrently.
enum class affinity : std::uint8_t {
  context,  ///< The context: one thread runs it.
  strand,   ///< A strand.
  none,     ///< Nothing, as far as can be known.
};

namespace detail {

/// What is known of an executor: its type, its context, what serialises it, and whether the current
/// thread runs a handler of it. The only file that asks an executor for its type.
///
/// Refers to the executor that it was made from, which must stay where it is. Cost to make: one type
/// comparison for an `io_context`, up to four for the other known types.
class place {
 public:
  place() noexcept = default;

  /// Resolves `executor`. One that carries properties, such as `outstanding_work.tracked`, is
  /// replaced by its plain form: then its type is known, and it holds no work.
  explicit place(asio::any_io_executor& executor) {
    const auto* const io = executor.target<io_executor>();
    if (io) [[likely]] {
      set(executor, kind::io, io, io->context());
      by_ = time_->serial() ? affinity::context : affinity::none;
    } else {
      resolve(executor);
    }
  }

  time_service& time() const noexcept { return *time_; }
  affinity serialised_by() const noexcept { return by_; }
  bool serial() const noexcept { return by_ != affinity::none; }
  const asio::any_io_executor& executor() const noexcept { return *executor_; }

  /// Whether the current thread runs a handler of the executor. For an executor of the user's own
  /// type this cannot be known, and the answer is `unknown`.
  bool here(bool unknown = true) const noexcept {
    if (kind_ == kind::io) [[likely]] return as<io_executor>().running_in_this_thread();
    return here_elsewhere(unknown);
  }

  /// Whether both mean the same executor.
  bool same_as(const place& other) const noexcept {
    return kind_ == other.kind_ && time_ == other.time_ &&
           (is_context() || (executor_ && *executor_ == *other.executor_));
  }
  /// Whether it is the context's own executor, which the context keeps anyway.
  bool is_context() const noexcept { return kind_ == kind::io || kind_ == kind::pool; }
  /// Forgets the executor; the context stays known.
  void forget() noexcept {
    executor_ = nullptr;
    kind_ = kind::unknown;
  }

  /// Whether the executor was that of a parked chain. What resumes a coroutine there goes through its
  /// executor, also where it could do without.
  bool within_chain() const noexcept { return within_chain_; }

  /// Runs a function on the executor: never on this stack with `later`.
  template <class Function>
  void execute(bool later, Function&& function) const {
    visit([&](const auto& executor) {
      if (later) {
        asio::prefer(asio::require(executor, asio::execution::blocking.never),
                     asio::execution::relationship.fork,
                     asio::execution::allocator(post_allocator<void>()))
            .execute(std::forward<Function>(function));
      } else {
        executor.execute(std::forward<Function>(function));
      }
    });
  }

  /// Counts a piece of work of the context, so that its `run()` goes on; nothing for an unknown one.
  void work_started() const noexcept;
  void work_finished() const noexcept;

 private:
  using io_executor = asio::io_context::executor_type;
  using pool_executor = asio::thread_pool::executor_type;
  using io_strand = asio::strand<io_executor>;
  using pool_strand = asio::strand<pool_executor>;
  using any_strand = asio::strand<asio::any_io_executor>;

  enum class kind : std::uint8_t { unknown, io, pool, io_strand, pool_strand, any_strand, chain };

  template <class Executor>
  const Executor& as() const noexcept {
    return *static_cast<const Executor*>(target_);
  }

  template <class Visitor>
  void visit(Visitor&& visitor) const {
    switch (kind_) {
      case kind::io: return visitor(as<io_executor>());
      case kind::pool: return visitor(as<pool_executor>());
      case kind::io_strand: return visitor(as<io_strand>());
      case kind::pool_strand: return visitor(as<pool_strand>());
      case kind::any_strand: return visitor(as<any_strand>());
      case kind::chain:
      case kind::unknown: return visitor(*executor_);
    }
  }

  void set(const asio::any_io_executor& executor, kind k, const void* target,
           asio::execution_context& context) {
    executor_ = &executor;
    kind_ = k;
    target_ = target;
    time_ = &time_service::of(context);
    if (!time_->counts_work()) [[unlikely]] time_->learn(executor);
  }
  void resolve(asio::any_io_executor& executor);
  bool resolve_chain(asio::any_io_executor& executor);
  bool find_type(const asio::any_io_executor& executor);
  bool here_elsewhere(bool unknown) const noexcept;

  const asio::any_io_executor* executor_ = nullptr;
  const void* target_ = nullptr;
  time_service* time_ = nullptr;
  kind kind_ = kind::unknown;
  affinity by_ = affinity::none;
  bool within_chain_ = false;
};

/// The executor under any strands, without outstanding work or other properties.
asio::any_io_executor base_executor(asio::any_io_executor executor);

}  // namespace detail
}  // namespace holdfast

#endif
