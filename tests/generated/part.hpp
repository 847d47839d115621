// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <holdfast/resilient.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "calls.hpp"

namespace gen {

/// Options on their way into a policy, written down as a program would give them. Options are to be
/// set in the order of their declaration; one that keeps its default is not written.
class options_text {
 public:
  template <class T>
  void set(std::string_view name, T& option, std::type_identity_t<T> to) {
    if (option != to) add(name, spelled(to));
    option = std::move(to);
  }
  void add(std::string_view name, std::string_view to);
  std::string braces() const { return "{" + text_ + "}"; }

  static std::string spelled(hf::duration d) { return text(d); }
  static std::string spelled(const std::optional<hf::duration>& d) {
    return d ? text(*d) : "std::nullopt";
  }
  static std::string spelled(bool b) { return b ? "true" : "false"; }
  static std::string spelled(double d);
  template <class N>
    requires std::is_integral_v<N>
  static std::string spelled(N n) {
    return std::to_string(n);
  }
  template <class E>
    requires std::is_enum_v<E>
  static std::string spelled(E e) {
    return std::string(type_name(e)) + "::" + std::string(to_string(e));
  }

 private:
  static std::string_view type_name(hf::budget_mode) { return "hf::budget_mode"; }
  static std::string_view type_name(hf::backoff_kind) { return "hf::backoff_kind"; }
  static std::string_view type_name(hf::jitter) { return "hf::jitter"; }
  static std::string_view type_name(hf::queue_order) { return "hf::queue_order"; }
  static std::string_view type_name(hf::limiter_algorithm) { return "hf::limiter_algorithm"; }
  static std::string_view type_name(hf::limit_algorithm) { return "hf::limit_algorithm"; }
  static std::string_view type_name(hf::overload_signal) { return "hf::overload_signal"; }
  static std::string_view type_name(hf::chaos_delay_kind) { return "hf::chaos_delay_kind"; }
  std::string text_;
};

/// What the parts of one stack share.
struct materials {
  world& w;
  std::optional<hf::retry_budget> budget;
  std::string budget_text;

  explicit materials(world& in) : w(in) {}
  std::vector<std::string> names;
  /// A name for a policy of the program; the second of a kind has a number.
  std::string name(std::string_view what);
  /// The one budget of the trial.
  const hf::retry_budget& shared_budget(source& s);
};

/// A policy in a stack: its options, drawn, and what must hold of it when all is at rest.
///
/// Each part has, besides: `static constexpr char letter`, a constructor from `(source&,
/// materials&)`, and `add(pipeline) -> pipeline`.
class part {
 public:
  part() = default;
  part(const part&) = delete;
  virtual ~part() = default;

  /// Called from the innermost to the outermost.
  virtual void tell(stack_facts& f) const = 0;
  /// All operations and attempts have ended.
  virtual void check_rest(world&) const {}
  /// The program lets go of the shared object.
  virtual void let_go() {}

  /// How a program declares it, if it does, and adds it.
  std::string declared;
  std::string added;
};

/// The classifier of all stacks: the default, or one that throws, or one that knows hints.
struct judge {
  enum class mode : std::uint8_t { plain, throws, throttles } how = mode::plain;
  hf::verdict operator()(const hf::failure& f) const {
    if (how == mode::throws) throw thrown_by_function();
    if (how == mode::throttles && f.retry_after()) return hf::verdict::throttled;
    return hf::default_classifier()(f);
  }
};
judge draw_judge(source& s);

}  // namespace gen
