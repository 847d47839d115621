// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_WAY_HOME_HPP
#define HOLDFAST_DETAIL_WAY_HOME_HPP

#include <cstdint>
#include <holdfast/detail/home.hpp>
#include <utility>

namespace holdfast::detail {

/// A function on its way home. The count of such functions lets another thread cancel the chain before
/// this one arrives, so counting acquires and releases.
template <class Function>
struct home::way_home {
  way_home(home& h, Function&& f) : home_(&h), job(h.job()), function(std::move(f)) {
    home_->acquire();
    home_->coming_.add(job);
  }
  way_home(way_home&& other) noexcept
      : home_(std::exchange(other.home_, nullptr)),
        job(other.job),
        function(std::move(other.function)) {}
  ~way_home() {
    if (!home_) return;
    home_->coming_.subtract(job);
    home_->release();
  }
  void operator()() {
    const arrival at(*this);
    at.h.run(function);
  }

  /// The function has arrived.
  struct arrival {
    explicit arrival(way_home& w) noexcept : h(*std::exchange(w.home_, nullptr)) {
      h.coming_.subtract(w.job);
    }
    ~arrival() { h.release(); }
    home& h;
  };

  home* home_;
  std::uint32_t job;
  Function function;
};

}  // namespace holdfast::detail

#endif
