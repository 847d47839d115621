// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_CHAIN_ON_HPP
#define HOLDFAST_CHAIN_ON_HPP

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <holdfast/detail/started_chain.hpp>
#include <utility>

namespace holdfast {

/// A chain with the executor that it runs on: what `chain::on` gives.
///
///     auto answer = hf::resilient(ask).with(hf::timeout{2s}).on(ctx)(asio::use_future);
///
/// An Asio operation as the chain is, for tokens whose handlers have no executor: `use_future`,
/// `detached`, the operations of `make_parallel_group`. The call runs on the executor; the handler
/// runs on its own, or on the same one if it has none.
template <class Chain>
class chain_on {
 public:
  using executor_type = asio::any_io_executor;
  using value_type = typename Chain::value_type;

  chain_on(executor_type executor, Chain chain)
      : executor_(std::move(executor)), chain_(std::move(chain)) {}

  executor_type get_executor() const noexcept { return executor_; }

  /// Starts the operation with a completion token.
  template <asio::completion_token_for<void(result<value_type>)> Token>
  auto operator()(Token&& token) && {
    return asio::async_initiate<Token, void(result<value_type>)>(
        detail::initiate_chain_on<value_type>(std::move(executor_)), token,
        std::move(chain_).run());
  }
  template <asio::completion_token_for<void(result<value_type>)> Token>
  auto operator()(Token&& token) const& {
    return asio::async_initiate<Token, void(result<value_type>)>(
        detail::initiate_chain_on<value_type>(executor_), token, chain_.run());
  }

  /// The same with other options than those that `resilient` was given.
  template <asio::completion_token_for<void(result<value_type>)> Token>
  auto operator()(call_options options, Token&& token) && {
    return asio::async_initiate<Token, void(result<value_type>)>(
        detail::initiate_chain_on<value_type>(std::move(executor_)), token,
        std::move(chain_).run(std::move(options)));
  }
  template <asio::completion_token_for<void(result<value_type>)> Token>
  auto operator()(call_options options, Token&& token) const& {
    return asio::async_initiate<Token, void(result<value_type>)>(
        detail::initiate_chain_on<value_type>(executor_), token, chain_.run(std::move(options)));
  }

 private:
  executor_type executor_;
  Chain chain_;
};

}  // namespace holdfast

#endif
