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

/// Holds a pipeline without its type, for calls that give a `T`. Use it for class members, in containers,
/// and where settings choose the policies.
///
///     class client {
///       explicit client(const settings& s)
///           : guard_(s.careful ? hf::any_pipeline<reply>(hf::pipeline().with(...).with(...))
///                              : hf::any_pipeline<reply>(hf::pipeline())) {}
///       hf::any_pipeline<reply> guard_;
///     };
///
/// Behaves like the `pipeline` that it was made from. Calls must be copyable. It does not take an
/// awaitable in place of a call, because the pipeline may start its call twice.
///
/// Copies share one pipeline, so its timeouts count together. Moving copies.
///
/// Thread safety: `operator()` is safe from any thread. Assignment is not.
/// Lifetime: one of the copies must outlive the operations.
/// Cost: one allocation when made. Each copy, move and use of the call adds an indirect call. An
/// operation allocates nothing more than in the pipeline itself, as long as its frame is recycled.
template <class T>
class any_pipeline {
 public:
  using value_type = T;

  /// Holds a pipeline without policies.
  any_pipeline() : any_pipeline(pipeline<>()) {}

  /// Takes the pipeline over.
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
    return detail::start_with_token((*this)(std::forward<Call>(call), std::move(options)),
                                    std::forward<Token>(token));
  }

  /// As `pipeline::safe_utilisation`.
  double safe_utilisation() const { return held_->safe_utilisation(); }
  /// As `pipeline::timeouts`. Copies share the counts.
  std::vector<timeout_snapshot> timeouts() const { return held_->timeouts(); }
  /// As `pipeline::describe`.
  std::string describe() const { return held_->describe(); }

 private:
  std::shared_ptr<const detail::pipeline_face<T>> held_;
};

}  // namespace holdfast

#endif
