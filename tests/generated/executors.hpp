// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/require.hpp>
#include <boost/asio/strand.hpp>
#include <functional>
#include <utility>

#include "plan.hpp"

namespace gen {

/// An executor of the user's own type, which wraps another and whose copies are counted: none may
/// be left, nor be used, once its owner has gone.
class own_executor {
 public:
  struct owner {
    std::atomic<int> copies{0};
    std::atomic<bool> gone{false};
    std::atomic<int> used_late{0};
  };

  own_executor(asio::any_io_executor inner, owner& o) noexcept
      : inner_(std::move(inner)), owner_(&o) {
    ++owner_->copies;
  }
  own_executor(const own_executor& o) noexcept : inner_(o.inner_), owner_(o.owner_) {
    ++owner_->copies;
  }
  own_executor& operator=(const own_executor&) = delete;
  ~own_executor() { --owner_->copies; }

  template <class F>
  void execute(F&& f) const {
    if (owner_->gone) ++owner_->used_late;
    inner_.execute(std::forward<F>(f));
  }
  asio::execution_context& query(asio::execution::context_t) const noexcept {
    return asio::query(inner_, asio::execution::context);
  }
  own_executor require(asio::execution::blocking_t::never_t p) const {
    return {asio::require(inner_, p), *owner_};
  }
  bool operator==(const own_executor& o) const noexcept { return inner_ == o.inner_; }

 private:
  asio::any_io_executor inner_;
  owner* owner_;
};

/// The callers' executor, and how to ask whether it runs here; null where nothing can tell.
struct made_executor {
  asio::any_io_executor executor;
  std::function<bool()> here;
};

template <class Context>
made_executor make_executor(Context& context, executor_kind kind, own_executor::owner& owner) {
  const auto plain = context.get_executor();
  const auto in_context = [plain] { return plain.running_in_this_thread(); };
  switch (kind) {
    case executor_kind::strand: {
      auto s = asio::make_strand(plain);
      return {s, [s] { return s.running_in_this_thread(); }};
    }
    case executor_kind::strand_of_any: {
      auto s = asio::make_strand(asio::any_io_executor(plain));
      return {s, [s] { return s.running_in_this_thread(); }};
    }
    case executor_kind::tracked:
      return {asio::prefer(plain, asio::execution::outstanding_work.tracked), in_context};
    case executor_kind::never_inline:
      return {asio::require(plain, asio::execution::blocking.never), in_context};
    case executor_kind::continuation:
      return {asio::prefer(plain, asio::execution::relationship.continuation), in_context};
    case executor_kind::own: return {own_executor(plain, owner), nullptr};
    case executor_kind::plain: break;
  }
  return {plain, in_context};
}

}  // namespace gen
