// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_DETAIL_LAYER_HPP
#define HOLDFAST_DETAIL_LAYER_HPP

#include <holdfast/detail/operation.hpp>
#include <holdfast/verdict.hpp>

/// \file
/// A layer is the face of a policy inside a pipeline. It has no I/O and no result type:
///
///   static constexpr policy_kind kind;
///   static constexpr bool timeless = true;            optional: calls that go well need no time
///   struct frame;                                     what it keeps for one operation; its
///                                                     destructor gives back what it still holds
///   step enter(frame&, operation&);                   on the way down; a layer that stops the
///                                                     operation here is not left
///   step resumed(frame&, operation&, wait_end);       after a step::wait
///   step leave(frame&, operation&, verdict);          on the way up
///   failure fault(frame&) const;                      after a step::fault: what the attempt ends with
///   void describe(std::string&) const;                prints itself with every option
///   double amplification() const;                     optional: the most attempts that it makes
///                                                     of one, over time
///
/// Layers that see the result as well: typed_layer.hpp.
///
/// `operation::now()` is the time of the edge, the same for all layers.

namespace holdfast::detail {

/// Whether a layer sees the result.
template <class Layer>
inline constexpr bool is_typed_v = requires { requires Layer::typed; };

}  // namespace holdfast::detail

#endif
