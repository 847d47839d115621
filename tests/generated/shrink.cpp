// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <functional>

#include "supervise.hpp"

namespace gen {

namespace {

class shrinker {
 public:
  shrinker(draw d, const std::string& kind, const trial_process& run, int repeats,
           std::chrono::seconds budget)
      : best_(std::move(d)), kind_(kind), run_(run), repeats_(repeats),
        until_(std::chrono::steady_clock::now() + budget) {}

  draw result() {
    while (once() && in_time()) {
    }
    return best_;
  }

 private:
  bool in_time() const { return std::chrono::steady_clock::now() < until_; }

  /// Takes the candidate if it fails alike.
  bool take(draw candidate) {
    if (!in_time()) return false;
    for (int i = 0; i < repeats_; ++i) {
      if (run_(candidate).kind == kind_) {
        best_ = std::move(candidate);
        return true;
      }
    }
    return false;
  }

  bool once() {
    bool better = false;
    for (std::size_t n = best_.clients.size() / 2; n > 0; n /= 2) better |= drop_clients(n);
    for (std::size_t i = best_.stack.size(); i-- > 0;) better |= drop_layer(i);
    better |= simplify([](draw& d) -> tape& { return d.end; });
    better |= simplify([](draw& d) -> tape& { return d.place; });
    for (std::size_t i = 0; i < best_.clients.size(); ++i) {
      better |= simplify([i](draw& d) -> tape& { return d.clients[i]; });
    }
    for (std::size_t i = 0; i < best_.layers.size(); ++i) {
      better |= simplify([i](draw& d) -> tape& { return d.layers[i]; });
    }
    return better;
  }

  /// So many at a time, as long as one is left.
  bool drop_clients(std::size_t n) {
    bool better = false;
    for (std::size_t i = 0; i < best_.clients.size() && best_.clients.size() > n;) {
      draw d = best_;
      const auto first = d.clients.begin() + static_cast<std::ptrdiff_t>(i);
      const auto count = std::min(n, d.clients.size() - i);
      d.clients.erase(first, first + static_cast<std::ptrdiff_t>(count));
      if (!d.clients.empty() && take(std::move(d))) {
        better = true;
      } else {
        i += n;
      }
    }
    return better;
  }

  bool drop_layer(std::size_t i) {
    if (i >= best_.stack.size()) return false;
    draw d = best_;
    d.stack.erase(i, 1);
    d.layers.erase(d.layers.begin() + static_cast<std::ptrdiff_t>(i));
    return catalogue::find(d.stack) && take(std::move(d));
  }

  /// Lowers the numbers of one tape: all of it, then parts, then one at a time.
  template <class Of>
  bool simplify(const Of& of) {
    bool better = false;
    const auto zero = [&](std::size_t from, std::size_t n) {
      draw d = best_;
      tape& t = of(d);
      const auto first = t.begin() + static_cast<std::ptrdiff_t>(from);
      const auto last = t.begin() + static_cast<std::ptrdiff_t>(std::min(from + n, t.size()));
      if (std::all_of(first, last, [](auto x) { return x == 0; })) return;
      std::fill(first, last, 0);
      better |= take(std::move(d));
    };
    const std::size_t size = of(best_).size();
    for (std::size_t n = size; n > 0; n /= 2) {
      for (std::size_t from = 0; from < size; from += n) zero(from, n);
    }
    for (std::size_t at = 0; at < size; ++at) {
      for (;;) {
        draw d = best_;
        std::uint32_t& x = of(d)[at];
        if (x == 0) break;
        x = x > 8 ? x / 2 : x - 1;
        if (!take(std::move(d))) break;
        better = true;
      }
    }
    return better;
  }

  draw best_;
  std::string kind_;
  const trial_process& run_;
  int repeats_;
  std::chrono::steady_clock::time_point until_;
};

}  // namespace

draw shrink(draw d, const std::string& kind, const trial_process& run, int repeats,
            std::chrono::seconds budget) {
  return shrinker(std::move(d), kind, run, repeats, budget).result();
}

}  // namespace gen
