// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_POLICY_FALLBACK_HPP
#define HOLDFAST_POLICY_FALLBACK_HPP

#include <algorithm>
#include <functional>
#include <holdfast/detail/call_traits.hpp>
#include <holdfast/detail/budget_use.hpp>
#include <holdfast/detail/layer.hpp>
#include <holdfast/ledger.hpp>
#include <holdfast/policy/retry_budget.hpp>
#include <optional>
#include <string>
#include <utility>

namespace holdfast {

struct fallback_options {
  /// Name of the link in the ledger and in `describe()`. Empty (default): the name of the cache if the
  /// link is one, otherwise `fallback`.
  std::string name = {};

  /// How good the link's answers are.
  holdfast::quality quality = holdfast::quality::degraded;

  /// Takes over from a fault of the request as well. Off by default: another service would find the
  /// same fault.
  bool on_request_fault = false;

  /// Asked before the link takes over, if set; false: the outcome is passed on. The failure is null
  /// where the outcome is a value that the classifier judged bad. An exception out of it means
  /// false.
  std::function<bool(const failure*, verdict)> only_if = nullptr;

  /// What each use of the link is taken out of, for links that cost money or capacity; shared with
  /// whoever else has the same object. Where it is spent the link is skipped, as the ledger shows.
  /// None: unlimited.
  std::optional<retry_budget> budget = std::nullopt;
};

namespace detail {

/// Decides whether a link takes over. What a link is, and how it is started, is `fallback_layer`'s.
class fallback_rule {
 public:
  static constexpr policy_kind kind = policy_kind::fallback;
  static constexpr bool timeless = true;
  struct frame {};

  explicit fallback_rule(fallback_options options)
      : options_(std::move(options)), budget_(options_.budget) {}

  step enter(frame&, operation& op) const noexcept {
    budget_.on_call(op);
    return step::go;
  }

  step leave(frame&, operation& op, verdict v) const {
    if (is_answer(v)) [[likely]] {
      budget_.on_success();
      return step::go;
    }
    return consider(op, v);
  }

  void announce(operation& op) const;
  void describe(std::string& out) const;
  const fallback_options& options() const noexcept { return options_; }
  budget_use& budget() noexcept { return budget_; }
  const budget_use& budget() const noexcept { return budget_; }

 protected:
  step consider(operation& op, verdict v) const;

 private:
  bool takes_over(operation& op, verdict v) const;

  fallback_options options_;
  budget_use budget_;
};

/// One alternative. `Link` is what `make_link` made of the user's value, function, call or chain:
/// `template start<T>(operation&, const result<T>&) -> asio::awaitable<result<T>>`.
template <class Link>
class fallback_layer : public fallback_rule {
 public:
  fallback_layer(Link link, fallback_options options)
      : fallback_rule(completed(std::move(options), link)), link_(std::move(link)) {}

  template <class T>
  asio::awaitable<result<T>> start(operation& op, const result<T>& outcome) const {
    announce(op);
    return link_.template start<T>(op, outcome);
  }

  Link& link() noexcept { return link_; }
  const Link& link() const noexcept { return link_; }

 private:
  /// A link may know itself what it is called, and how good its answers are at best.
  static fallback_options completed(fallback_options o, const Link& link) {
    if constexpr (requires { Link::best; }) o.quality = std::max(o.quality, Link::best);
    if (o.name.empty()) {
      o.name = "fallback";
      if constexpr (requires { link.name(); }) o.name = link.name();
    }
    return o;
  }

  Link link_;
};

}  // namespace detail
}  // namespace holdfast

#endif
