// SPDX-License-Identifier: BSL-1.0
#include <boost/asio/strand.hpp>
#include <holdfast/detail/work_count.hpp>

namespace holdfast::detail {

namespace asio = boost::asio;

asio::any_io_executor base_executor(const asio::any_io_executor& executor) {
  using io_strand = asio::strand<asio::io_context::executor_type>;
  using pool_strand = asio::strand<asio::thread_pool::executor_type>;
  using any_strand = asio::strand<asio::any_io_executor>;
  if (const auto* s = executor.target<io_strand>()) return s->get_inner_executor();
  if (const auto* s = executor.target<pool_strand>()) return s->get_inner_executor();
  if (const auto* s = executor.target<any_strand>()) return base_executor(s->get_inner_executor());
  return executor;
}

work_count::work_count(const asio::any_io_executor& executor) {
  const auto base = base_executor(executor);
  if (const auto* io = base.target<io_executor>()) executor_ = *io;
  if (const auto* pool = base.target<pool_executor>()) executor_ = *pool;
}

void work_count::down() const noexcept {
  if (const auto* io = std::get_if<io_executor>(&executor_)) io->on_work_finished();
  if (const auto* pool = std::get_if<pool_executor>(&executor_)) pool->on_work_finished();
}

void work_count::up() const noexcept {
  if (const auto* io = std::get_if<io_executor>(&executor_)) io->on_work_started();
  if (const auto* pool = std::get_if<pool_executor>(&executor_)) pool->on_work_started();
}

}  // namespace holdfast::detail
