// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <stdexcept>
#include <utility>

namespace gen {

/// Thrown by a function that a user may give: a predicate, a listener, a classifier.
struct thrown_by_function : std::logic_error {
  thrown_by_function() : std::logic_error("thrown by a function of the user's") {}
};

/// Thrown by a move of a value.
struct thrown_by_move : std::logic_error {
  thrown_by_move() : std::logic_error("thrown by a move") {}
};

/// What calls answer: which answer it is, and after how many moves it throws.
class value {
 public:
  value() = default;
  explicit value(int id, int moves = 0) noexcept : id_(id), moves_left_(moves) {}
  value(const value&) = default;
  value(value&& other) : id_(other.id_), moves_left_(other.moves_left_) { count(); }
  value& operator=(const value&) = default;
  value& operator=(value&& other) {
    id_ = other.id_;
    moves_left_ = other.moves_left_;
    count();
    return *this;
  }

  int id() const noexcept { return id_; }

 private:
  void count() {
    if (moves_left_ > 0 && --moves_left_ == 0) throw thrown_by_move();
  }

  int id_ = 0;
  int moves_left_ = 0;  // 0: never throws
};

}  // namespace gen
