// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "parts.hpp"

namespace gen {

/// What a chain hands its result to, with an executor and a slot of its own.
using chain_handler = asio::any_completion_handler<void(hf::result<value>)>;

/// A pipeline whose policies are only known at run time.
class any_stack {
 public:
  using awaitable = asio::awaitable<hf::result<value>>;

  virtual ~any_stack() = default;
  virtual awaitable run(opaque_call call, hf::call_options o) const = 0;
  virtual awaitable run(context_call call, hf::call_options o) const = 0;
  virtual awaitable run(reader_call call, hf::call_options o) const = 0;
  virtual awaitable run(token_call call, hf::call_options o) const = 0;
  /// Starts `resilient(call)` with the same policies, as a temporary.
  virtual void start(context_call call, asio::any_io_executor on, chain_handler h) const = 0;
  virtual void start(opaque_call call, asio::any_io_executor on, chain_handler h) const = 0;

  virtual void each_part(const std::function<void(part&)>& f) = 0;
  std::string classifier = "";
};

/// How much of the library's interface a stack is compiled with. Every pair of policies is run as
/// a pipeline with the two kinds of call that differ most; all the rest is kept for some stacks.
enum class breadth { narrow, wide };

template <breadth Breadth, class... Parts>
class stack_of final : public any_stack {
 public:
  stack_of(std::vector<tape>& tapes, chance* more, materials& m)
      : stack_of(tapes, more, m, std::index_sequence_for<Parts...>()) {}

  awaitable run(opaque_call call, hf::call_options o) const override {
    return pipeline_(std::move(call), std::move(o));
  }
  awaitable run(context_call call, hf::call_options o) const override {
    return pipeline_(std::move(call), std::move(o));
  }
  awaitable run(reader_call call, hf::call_options o) const override {
    if constexpr (Breadth == breadth::wide) return pipeline_(std::move(call), std::move(o));
    return pipeline_(opaque_call{std::move(call.c)}, std::move(o));
  }
  awaitable run(token_call call, hf::call_options o) const override {
    if constexpr (Breadth == breadth::wide) return pipeline_(std::move(call), std::move(o));
    return pipeline_(context_call{std::move(call.c)}, std::move(o));
  }
  void start(context_call call, asio::any_io_executor on, chain_handler h) const override {
    start_chain(std::move(call), std::move(on), std::move(h));
  }
  void start(opaque_call call, asio::any_io_executor on, chain_handler h) const override {
    start_chain(std::move(call), std::move(on), std::move(h));
  }

  void each_part(const std::function<void(part&)>& f) override {
    std::apply([&f](auto&... parts) { (f(*parts), ...); }, parts_);
  }

 private:
  using kept = std::tuple<std::unique_ptr<Parts>...>;

  template <std::size_t... I>
  stack_of(std::vector<tape>& tapes, chance* more, materials& m, std::index_sequence<I...>)
      : parts_{make<Parts>(tapes[I], more, m)...},
        judge_(draw(tapes[sizeof...(I)], more)),
        pipeline_(wrapped(hf::pipeline(), judge_, parts_)) {}

  template <class Part>
  static std::unique_ptr<Part> make(tape& t, chance* more, materials& m) {
    source s(t, more);
    return std::make_unique<Part>(s, m);
  }
  static judge draw(tape& t, chance* more) {
    source s(t, more);
    return draw_judge(s);
  }

  template <std::size_t I = 0, class Base>
  static auto add(Base&& base, const kept& parts) {
    if constexpr (I == sizeof...(Parts)) {
      return std::forward<Base>(base);
    } else {
      return add<I + 1>(std::get<I>(parts)->add(std::forward<Base>(base)), parts);
    }
  }
  template <class Base>
  static auto wrapped(Base base, const judge& j, const kept& parts) {
    return add(std::move(base), parts).classify(j);
  }

  template <class Call>
  void start_chain(Call call, asio::any_io_executor on, chain_handler h) const {
    if constexpr (Breadth == breadth::wide) {
      const auto slot = asio::get_associated_cancellation_slot(h);
      wrapped(hf::resilient(std::move(call)), judge_, parts_)(
          asio::bind_executor(on, asio::bind_cancellation_slot(slot, std::move(h))));
    }
  }

  kept parts_;
  judge judge_;
  decltype(wrapped(hf::pipeline(), std::declval<judge>(), std::declval<kept>())) pipeline_;
};

/// The stacks that are compiled, by the letters of their parts.
class catalogue {
 public:
  using maker = std::unique_ptr<any_stack> (*)(std::vector<tape>&, chance*, materials&);
  struct entry {
    std::string letters;
    bool wide;
    maker make;
  };

  static const std::vector<entry>& all();
  static const entry* find(std::string_view letters);

  template <breadth Breadth, class... Parts>
  void add() {
    entries_.push_back({{Parts::letter...}, Breadth == breadth::wide,
                        [](std::vector<tape>& t, chance* more, materials& m) {
                          return std::unique_ptr<any_stack>(
                              std::make_unique<stack_of<Breadth, Parts...>>(t, more, m));
                        }});
  }

 private:
  std::vector<entry> entries_;
};

// One for each source that adds stacks.
void add_wide_stacks(catalogue&);
void add_deep_stacks(catalogue&);
void add_pairs_1(catalogue&);
void add_pairs_2(catalogue&);
void add_pairs_3(catalogue&);
void add_pairs_4(catalogue&);
void add_pairs_5(catalogue&);
void add_pairs_6(catalogue&);
void add_pairs_7(catalogue&);

}  // namespace gen
