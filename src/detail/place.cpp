// SPDX-License-Identifier: BSL-1.0
#include <boost/asio/execution.hpp>
#include <boost/asio/prefer.hpp>
#include <holdfast/detail/home_executor.hpp>
#include <holdfast/detail/place.hpp>
#include <type_traits>

namespace holdfast::detail {

namespace {

/// Without properties a known type shows itself, unless it has an allocator of its own.
asio::any_io_executor plain(const asio::any_io_executor& executor) {
  return asio::prefer(asio::prefer(asio::prefer(executor, asio::execution::outstanding_work.untracked),
                                   asio::execution::blocking.possibly),
                      asio::execution::relationship.fork);
}

}  // namespace

bool place::find_type(const asio::any_io_executor& executor) {
  const auto try_as = [&]<class Executor>(std::type_identity<Executor>, kind k, affinity by) {
    const auto* const e = executor.target<Executor>();
    if (!e) return false;
    set(executor, k, e, asio::query(*e, asio::execution::context));
    by_ = by;
    return true;
  };
  if (const auto* const io = executor.target<io_executor>()) {
    set(executor, kind::io, io, io->context());
    by_ = time_->serial() ? affinity::context : affinity::none;
    return true;
  }
  return try_as(std::type_identity<io_strand>(), kind::io_strand, affinity::strand) ||
         try_as(std::type_identity<pool_executor>(), kind::pool, affinity::none) ||
         try_as(std::type_identity<pool_strand>(), kind::pool_strand, affinity::strand) ||
         try_as(std::type_identity<any_strand>(), kind::any_strand, affinity::strand);
}

// A parked chain that is serialised by its target is at home wherever the target is. One that its
// gate serialises is a place of its own.
bool place::resolve_chain(asio::any_io_executor& executor) {
  const auto* const chain = executor.target<home_executor>();
  if (!chain) return false;
  const place& target = chain->where();
  if (chain->is_current() && !target.serial()) {
    set(executor, kind::chain, chain, target.time().context());
    by_ = affinity::strand;
  } else {
    executor = asio::any_io_executor(target.executor());
    resolve(executor);
  }
  within_chain_ = true;
  return true;
}

void place::resolve(asio::any_io_executor& executor) {
  if (find_type(executor) || resolve_chain(executor)) return;
  executor = plain(executor);
  if (find_type(executor) || resolve_chain(executor)) return;
  set(executor, kind::unknown, nullptr, asio::query(executor, asio::execution::context));
}

bool place::here_elsewhere(bool unknown) const noexcept {
  if (kind_ == kind::unknown) return unknown;
  if (kind_ == kind::chain) return as<home_executor>().running_in_this_thread();
  bool here = false;
  visit([&](const auto& executor) {
    if constexpr (requires { executor.running_in_this_thread(); }) {
      here = executor.running_in_this_thread();
    }
  });
  return here;
}

void place::work_started() const noexcept { time_->count_work(true); }
void place::work_finished() const noexcept { time_->count_work(false); }

asio::any_io_executor base_executor(asio::any_io_executor executor) {
  for (;;) {
    executor = plain(executor);
    if (const auto* io = executor.target<asio::strand<asio::io_context::executor_type>>()) {
      return io->get_inner_executor();
    }
    if (const auto* pool = executor.target<asio::strand<asio::thread_pool::executor_type>>()) {
      return pool->get_inner_executor();
    }
    const auto* const any = executor.target<asio::strand<asio::any_io_executor>>();
    if (!any) return executor;
    executor = asio::any_io_executor(any->get_inner_executor());
  }
}

}  // namespace holdfast::detail
