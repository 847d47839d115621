// SPDX-License-Identifier: BSL-1.0
#include <exception>
#include <holdfast/detail/home.hpp>

namespace holdfast::detail {

namespace {

/// Lets an exception out of the executor's context, as if the function that threw it had run there.
void hand_to(const asio::any_io_executor& executor, std::exception_ptr thrown) {
  resumption outside(executor, [e = std::move(thrown)] { std::rethrow_exception(e); });
  outside.reserve_at_any_cost();
  outside.post();
}

}  // namespace

void home::run_left(const cancellation_scope::visit& here) {
  struct taken {
    ~taken() { gate::post_all(first); }
    gate::waiting* first;
  } functions{scope_->door().take_waiting()};
  while (functions.first) {
    turn_over();
    if (here.gone()) return;
    auto& next = static_cast<left&>(*functions.first);
    functions.first = next.next;
    begin_turn();
    if (launching_) {
      // What a function of the user's throws is not for whoever launched the attempt.
      const asio::any_io_executor target = target_;
      try {
        next.run(next);
      } catch (...) {
        hand_to(target, std::current_exception());
      }
    } else {
      next.run(next);
    }
    if (here.gone()) return;
  }
}

}  // namespace holdfast::detail
