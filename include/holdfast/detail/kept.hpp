// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_KEPT_HPP
#define HOLDFAST_DETAIL_KEPT_HPP

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <cstdint>
#include <holdfast/detail/sync.hpp>
#include <holdfast/failure.hpp>
#include <holdfast/verdict.hpp>
#include <utility>

namespace holdfast::detail {

/// An outcome that several operations may have, without its type: a value or a failure. Never
/// changed once it is made; counted, since a reader may still copy what has been evicted.
class kept {
 public:
  kept(const kept&) = delete;
  kept& operator=(const kept&) = delete;

  bool is_failure() const noexcept { return is_failure_; }
  /// What the classifier said of it when it was new.
  verdict judged() const noexcept { return judged_; }

  friend void intrusive_ptr_add_ref(const kept* k) noexcept {
    k->references_.fetch_add(1, std::memory_order_relaxed);
  }
  friend void intrusive_ptr_release(const kept* k) noexcept {
    if (k->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete k;
  }

 protected:
  kept(bool is_failure, verdict judged) noexcept : is_failure_(is_failure), judged_(judged) {}
  virtual ~kept() = default;

 private:
  mutable sync::atomic<std::uint32_t> references_{0};
  const bool is_failure_;
  const verdict judged_;
};

using kept_ptr = boost::intrusive_ptr<const kept>;

template <class Value>
class kept_value final : public kept {
 public:
  kept_value(Value v, verdict judged) : kept(false, judged), value(std::move(v)) {}
  const Value value;
};

class kept_failure final : public kept {
 public:
  kept_failure(failure f, verdict judged) : kept(true, judged), why(std::move(f)) {}
  const failure why;
};

template <class Value>
const Value& value_of_kept(const kept& k) noexcept {
  return static_cast<const kept_value<Value>&>(k).value;
}
inline const failure& failure_of_kept(const kept& k) noexcept {
  return static_cast<const kept_failure&>(k).why;
}

}  // namespace holdfast::detail

#endif
