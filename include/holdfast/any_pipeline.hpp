// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_ANY_PIPELINE_HPP
#define HOLDFAST_ANY_PIPELINE_HPP

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <concepts>
#include <holdfast/detail/erased_call.hpp>
#include <holdfast/detail/started_chain.hpp>
#include <holdfast/pipeline.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace holdfast {

namespace detail {

/// What an `any_pipeline<T>` knows of the pipeline in it.
template <class T>
class pipeline_face {
 public:
  pipeline_face() = default;
  pipeline_face(const pipeline_face&) = delete;
  virtual ~pipeline_face() = default;

  using operation = asio::awaitable<result<T>>;
  virtual operation run(erased_call<T, call_context&>&&, call_options&&) const = 0;
  virtual operation run(erased_call<T, const call_context&>&&, call_options&&) const = 0;
  virtual operation run(erased_call<result<T>, call_context&>&&, call_options&&) const = 0;
  virtual operation run(erased_call<result<T>, const call_context&>&&, call_options&&) const = 0;

  virtual double safe_utilisation() const = 0;
  virtual std::vector<timeout_snapshot> timeouts() const = 0;
  virtual std::string describe() const = 0;
};

template <class T, class Stack>
class erased_pipeline final : public pipeline_face<T> {
 public:
  explicit erased_pipeline(pipeline<Stack> p) : pipeline_(std::move(p)) {}

  using typename pipeline_face<T>::operation;
  operation run(erased_call<T, call_context&>&& c, call_options&& o) const override {
    return pipeline_(std::move(c), std::move(o));
  }
  operation run(erased_call<T, const call_context&>&& c, call_options&& o) const override {
    return pipeline_(std::move(c), std::move(o));
  }
  operation run(erased_call<result<T>, call_context&>&& c, call_options&& o) const override {
    return pipeline_(std::move(c), std::move(o));
  }
  operation run(erased_call<result<T>, const call_context&>&& c, call_options&& o) const override {
    return pipeline_(std::move(c), std::move(o));
  }

  double safe_utilisation() const override { return pipeline_.safe_utilisation(); }
  std::vector<timeout_snapshot> timeouts() const override { return pipeline_.timeouts(); }
  std::string describe() const override { return pipeline_.describe(); }

 private:
  pipeline<Stack> pipeline_;
};

}  // namespace detail

/// A pipeline without its type, for calls that give a `T`: a member of a class, an element of a
/// container, a choice made at run time.
///
///     class client {
///       explicit client(const settings& s)
///           : guard_(s.careful ? hf::any_pipeline<reply>(hf::pipeline().with(...).with(...))
///                              : hf::any_pipeline<reply>(hf::pipeline())) {}
///       hf::any_pipeline<reply> guard_;
///     };
///
/// Called as a `pipeline` is, and does the same. Calls must be copyable. An awaitable that exists
/// already is no call here, since the pipeline may make its call twice.
///
/// Copies, and what they are moved to, share the one pipeline: its timeouts count together. Thread
/// safety: calls are safe from any thread at once; assignment is not. Lifetime: one of the copies must
/// outlive the operations. Cost: one allocation when made. Each operation adds an indirect call for
/// each copy, move and use of the call, and no allocation in steady state.
template <class T>
class any_pipeline {
 public:
  using value_type = T;

  /// A pipeline without policies.
  any_pipeline() : any_pipeline(pipeline<>()) {}

  template <class Stack>
  any_pipeline(pipeline<Stack> p)  // NOLINT: made to be assigned from pipelines
      : held_(std::make_shared<const detail::erased_pipeline<T, Stack>>(std::move(p))) {}

  any_pipeline(const any_pipeline&) = default;  // and no move, which would leave an empty one
  any_pipeline& operator=(const any_pipeline&) = default;

  /// As `pipeline`.
  template <class Call>
  asio::awaitable<result<T>> operator()(Call&& call, call_options options = {}) const {
    using plain = std::decay_t<Call>;
    static_assert(!detail::is_awaitable_v<plain>,
                  "holdfast: an any_pipeline may make its call more than once, and an awaitable runs "
                  "once; pass the function that makes it.");
    static_assert(std::copy_constructible<plain>,
                  "holdfast: an any_pipeline takes calls that can be copied; capture a "
                  "std::shared_ptr to what cannot, or use the pipeline itself.");
    detail::check_call<plain>();
    static_assert(std::same_as<detail::call_result_t<plain>, T>,
                  "holdfast: the call gives another type than the any_pipeline is for.");
    return held_->run(detail::erased_call_of<T, plain>(plain(std::forward<Call>(call))),
                      std::move(options));
  }

  /// The same within another call: bounded by its deadline, ended by its cancellation.
  template <class Call>
  asio::awaitable<result<T>> operator()(Call&& call, call_context& parent) const {
    return (*this)(std::forward<Call>(call), call_options{.parent = &parent});
  }

  /// The same with a completion token: the handler's signature is `void(hf::result<T>)`.
  template <class Call, asio::completion_token_for<void(result<T>)> Token>
  auto operator()(Call&& call, call_options options, Token&& token) const {
    return asio::async_initiate<Token, void(result<T>)>(
        detail::initiate_chain<T>(), token,
        (*this)(std::forward<Call>(call), std::move(options)));
  }

  double safe_utilisation() const { return held_->safe_utilisation(); }
  std::vector<timeout_snapshot> timeouts() const { return held_->timeouts(); }
  std::string describe() const { return held_->describe(); }

 private:
  std::shared_ptr<const detail::pipeline_face<T>> held_;
};

}  // namespace holdfast

#endif
