// SPDX-License-Identifier: BSL-1.0
#include <boost/system/errc.hpp>
#include <holdfast/policy/adaptive_limit.hpp>

namespace holdfast {

adaptive_limit::adaptive_limit(options o)
    : core_(std::make_shared<detail::limit_core>(std::move(o))) {}

}  // namespace holdfast

namespace holdfast::detail {

namespace {

/// Whether the service could not cope with the call.
bool is_drop(const operation& op, verdict v) {
  if (v == verdict::overloaded) return true;
  if (v != verdict::failure || !op.error) return false;
  const auto& code = op.error->code();
  return code == condition::timed_out || code == boost::system::errc::timed_out;
}

}  // namespace

step adaptive_limit_layer::refuse(operation& op) const {
  core_->count_refusal();
  op.refuse({.code = errc::bulkhead_full,
             .policy = policy_kind::adaptive_limit,
             .policy_name = &core_->name()});
  return step::refuse;
}

void adaptive_limit_layer::learn(const frame& f, operation& op, verdict v) const {
  v = op.of_service(v);
  const bool timed = f.watched == attention::timed;
  bool over = false;
  time_point now = timed ? op.time().precise_now() : op.now();
  if (is_answer(v)) {
    if (timed) {
      over = core_->add_answer(f.began, now, f.in_flight);
    } else {
      over = core_->may_be_due(now) && core_->look(now);
    }
  } else if (is_drop(op, v)) {
    over = core_->add_drop(timed ? f.began : time_point::min(), now, f.in_flight);
  }
  if (!over) return;
  core_->close_window(now, op.random());
  op.start_edge_precisely();  // the listeners have had their time
}

}  // namespace holdfast::detail
