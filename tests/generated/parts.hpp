// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <holdfast/resilient.hpp>
#include <optional>
#include <memory>
#include <utility>

#include "part.hpp"

/// \file
/// The policies, each with its options drawn over their ranges.

namespace gen {

/// A policy that is a handle to something shared.
template <class Policy>
class handle_part : public part {
 public:
  template <class Pipeline>
  auto add(Pipeline&& p) const {
    return std::forward<Pipeline>(p).with(*policy_);
  }
  void let_go() override {
    watch_ = {};
    policy_.reset();
  }

 protected:
  void declare(std::string_view type, const std::string& name, const std::string& options) {
    declared = "const " + std::string(type) + " " + name + "{" + options + "};";
    added = ".with(" + name + ")";
  }
  std::optional<Policy> policy_;
  hf::subscription watch_;
};

struct timeout_part final : part {
  static constexpr char letter = 't';
  timeout_part(source& s, materials& m);
  template <class Pipeline>
  auto add(Pipeline&& p) const {
    return std::forward<Pipeline>(p).with(options);
  }
  void tell(stack_facts& f) const override;
  hf::timeout options;
};

struct retry_part final : part {
  static constexpr char letter = 'r';
  retry_part(source& s, materials& m);
  template <class Pipeline>
  auto add(Pipeline&& p) const {
    return std::forward<Pipeline>(p).with(options);
  }
  void tell(stack_facts& f) const override;
  hf::retry options;
};

struct breaker_part final : handle_part<hf::circuit_breaker> {
  static constexpr char letter = 'b';
  breaker_part(source& s, materials& m);
  void tell(stack_facts& f) const override;
  void check_rest(world& w) const override;

 private:
  bool has_evidence(const world& w) const;
  hf::duration probe_limit_{0};
  bool sees_slow_ = false;
  mutable hf::duration limit_inside_{0};
};

struct family_part final : handle_part<hf::breaker_family> {
  static constexpr char letter = 'f';
  family_part(source& s, materials& m);
  void tell(stack_facts& f) const override;
  void check_rest(world& w) const override;
};

struct bulkhead_part final : handle_part<hf::bulkhead> {
  static constexpr char letter = 'k';
  bulkhead_part(source& s, materials& m);
  void tell(stack_facts& f) const override;
  void check_rest(world& w) const override;
};

struct limiter_part final : handle_part<hf::rate_limiter> {
  static constexpr char letter = 'l';
  limiter_part(source& s, materials& m);
  void tell(stack_facts& f) const override;
  void check_rest(world& w) const override;

 private:
  void check_costs(world& w) const;
  bool counts_ = false;  // so large and slow that what is missing is what was taken
  bool weighted_ = true;
  mutable std::string below_;
  mutable std::string all_;
};

struct hedge_part final : handle_part<hf::hedge> {
  static constexpr char letter = 'h';
  hedge_part(source& s, materials& m);
  void tell(stack_facts& f) const override;
};

struct cache_part final : handle_part<hf::cache<value>> {
  static constexpr char letter = 'c';
  cache_part(source& s, materials& m);
  void tell(stack_facts& f) const override;
  void check_rest(world& w) const override;
  const hf::cache<value>& answers() const { return *policy_; }

 private:
  bool refreshes_ = false;
};

struct throttle_part final : handle_part<hf::throttle> {
  static constexpr char letter = 'o';
  throttle_part(source& s, materials& m);
  void tell(stack_facts& f) const override;
};

struct adaptive_part final : handle_part<hf::adaptive_limit> {
  static constexpr char letter = 'a';
  adaptive_part(source& s, materials& m);
  void tell(stack_facts& f) const override;
  void check_rest(world& w) const override;
};

struct shedder_part final : handle_part<hf::load_shedder> {
  static constexpr char letter = 's';
  shedder_part(source& s, materials& m);
  void tell(stack_facts& f) const override;
  void check_rest(world& w) const override;
};

struct chaos_part final : handle_part<hf::chaos> {
  static constexpr char letter = 'x';
  chaos_part(source& s, materials& m);
  void tell(stack_facts& f) const override;
};

/// What fallbacks have in common.
class fallback_part : public part {
 protected:
  fallback_part(source& s, materials& m);
  hf::fallback_options options_;
  std::string options_spelled_;
};

struct value_part final : fallback_part {
  static constexpr char letter = 'v';
  value_part(source& s, materials& m);
  template <class Pipeline>
  auto add(Pipeline&& p) const {
    return std::forward<Pipeline>(p).fallback(value(-2), options_);
  }
  void tell(stack_facts& f) const override;
};

/// Another call, with a timeout and a limiter of its own.
struct link_part final : fallback_part {
  static constexpr char letter = 'n';
  link_part(source& s, materials& m);
  template <class Pipeline>
  auto add(Pipeline&& p) const {
    return std::forward<Pipeline>(p).fallback(
        hf::resilient(context_call{captured(world_, script_, -1, true)})
            .with(timeout_)
            .with(limiter_),
        options_);
  }
  void tell(stack_facts& f) const override;
  const script& plays() const { return *script_; }

 private:
  world& world_;
  std::shared_ptr<const script> script_;
  hf::timeout timeout_;
  hf::rate_limiter limiter_;
};

/// Answers to similar questions; its function may throw.
struct similar_part final : fallback_part {
  static constexpr char letter = 'm';
  similar_part(source& s, materials& m);
  template <class Pipeline>
  auto add(Pipeline&& p) const {
    return std::forward<Pipeline>(p).fallback(similar_->link(), options_);
  }
  void tell(stack_facts& f) const override;

 private:
  std::optional<hf::similar_answers<value>> similar_;
};

}  // namespace gen
