// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_LEFT_BEHIND_HPP
#define HOLDFAST_DETAIL_LEFT_BEHIND_HPP

#include <cstddef>
#include <holdfast/detail/resumption.hpp>
#include <holdfast/detail/way_home.hpp>
#include <memory>
#include <new>
#include <optional>
#include <utility>

namespace holdfast::detail {

/// A function that found the gate taken. If the owner is running the chain, it runs the function as
/// well; otherwise it posts the function, which then comes home again.
struct home::left : gate::waiting {
  using action = void (*)(left&);
  left(void (*p)(waiting&) noexcept, action r) noexcept : waiting(p), run(r) {}

  static void* operator new(std::size_t size);
  static void operator delete(void* p, std::size_t size) noexcept;

  action run;
};

template <class Function>
struct home::left_behind final : left {
  using way_type = way_home<Function>;
  using owner = std::unique_ptr<left_behind>;

  /// Throws `std::bad_alloc`.
  explicit left_behind(const home& h) : left(&post_again, &run_now) {
    memory.reserve(post_memory::blocks_for(h.where_.executor()));
  }

  static void run_now(left& l) {
    way_type way = std::move(*owner(&static_cast<left_behind&>(l))->way);
    way();
  }

  static void post_again(waiting& w) noexcept {
    owner self(&static_cast<left_behind&>(w));
    left_behind& l = *self;
    resumption again(l.way->home_->where_.executor(),
                     [self = std::move(self)]() mutable { run_now(*self.release()); });
    again.reserve(std::move(l.memory));
    again.post();
  }

  post_memory memory;  // to post it
  std::optional<way_type> way;
};

template <class Function>
void home::run_later(Function& function) {
  std::unique_ptr<left_behind<Function>> l;
  try {
    l = std::make_unique<left_behind<Function>>(*this);
  } catch (const std::bad_alloc&) {
    scope_->door().enter();
    return run_inside(function);
  }
  l->way.emplace(*this, std::move(function));
  if (!scope_->door().enter_or_push(*l)) {
    l.release();
    return;
  }
  auto way = std::move(*l->way);
  l.reset();
  const typename left_behind<Function>::way_type::arrival at(way);
  run_inside(way.function);
}

}  // namespace holdfast::detail

#endif
