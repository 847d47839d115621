// SPDX-License-Identifier: BSL-1.0
#include <holdfast/detail/make_layer.hpp>
#include <holdfast/invalid_options.hpp>

namespace holdfast::detail {

void refuse_null_policy() {
  throw invalid_options("pipeline", {"with: the std::shared_ptr to a policy is null"});
}

void check_shared(bool shared) {
  if (shared) return;
  throw invalid_options("chain",
                        {"with: a circuit breaker that is made for one call never opens; make it "
                         "once, beside the client that it protects, and pass that"});
}

}  // namespace holdfast::detail
