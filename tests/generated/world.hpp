// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/system/error_code.hpp>
#include <deque>
#include <exception>
#include <functional>
#include <holdfast/result.hpp>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "plan.hpp"
#include "value.hpp"

namespace gen {

using boost::system::error_code;

/// What is known of a stack without asking the library.
struct stack_facts {
  std::string kinds;  ///< The letters of its parts, those of links included.
  hf::duration attempt_limit = hf::duration::max();  ///< Within which an attempt is cancelled.
  hf::duration shared_limit = hf::duration::max();   ///< The same, of one made in the background.
  hf::duration least_timeout = hf::duration::max();  ///< No timeout can fire sooner.
  hf::duration innermost = hf::duration::max();      ///< Of a timeout right around the call.
  hf::duration whole_limit = hf::duration::max();    ///< Within which all of it ends.
  hf::duration whole_grace{0};
  unsigned whole_places = 0;  ///< For calls that the outermost timeout leaves behind.
  unsigned places = 0;        ///< For what any timeout leaves behind.
  bool total = false;         ///< A timeout may say `total_timeout`.
  bool detaches = false;
  bool refreshes = false;
  bool injects = false;  ///< Chaos makes attempts fail that no call sees.
  bool key_throws = false;

  bool has(char kind) const { return kinds.find(kind) != std::string::npos; }
};

/// What happened to one attempt.
struct attempt_record {
  int op = -1;  ///< -1: not known whose.
  bool link = false;
  unsigned serial = 0;  ///< From 1, in the order in which they began, within the operation.
  unsigned number = 0;  ///< What its context says; 0 without one.
  std::uint64_t began_seq = 0;
  hf::time_point began{};
  hf::time_point ended{};
  hf::time_point deadline = hf::never;  ///< Of its context.
  bool running = true;
  bool concluded = false;  ///< It came to its end, and was not destroyed on its way.
  bool orphaned = false;   ///< Its operation ended first.
  std::optional<int> answer;
  error_code code;
  std::optional<std::uint64_t> settled;
  unsigned own_sends = 0;  ///< Attempts of its nested pipeline.
};

/// What happened to one operation.
struct operation_record {
  asio::cancellation_signal signal;
  unsigned made = 0;  ///< Attempts of its call.
  std::atomic<bool> begun{false};
  std::atomic<bool> ended{false};
  hf::time_point began{};
  hf::time_point ended_at{};
  hf::time_point deadline = hf::never;
  std::atomic<hf::time_point> cancelled_at{hf::never};  ///< If it must have heard.
  std::uint64_t cancelled_seq = ~std::uint64_t{0};
  std::uint64_t ended_seq = ~std::uint64_t{0};
  bool emitted = false;  ///< Heard or not.
  std::atomic<int> completions{0};
  std::atomic<int> drops{0};
  bool ended_away = false;
  std::optional<hf::result<value>> result;
  std::exception_ptr exception;
};

/// One trial while it runs: what stands around the operations, and what is written down of them.
/// What is virtual is what time and threads make different.
class world {
 public:
  virtual ~world() = default;
  world() = default;
  world(const world&) = delete;

  virtual hf::time_point now() const = 0;

  /// Runs a function on an executor after a time; forgets it where the trial ends first.
  virtual void later(hf::duration d, asio::any_io_executor where,
                     asio::any_completion_handler<void()> f) = 0;

  /// Whether this is the callers' executor; true where that cannot be known.
  bool at_home() const { return !knows_home || knows_home(); }

  std::uint64_t next() { return sequence_.fetch_add(1) + 1; }

  /// An attempt begins.
  attempt_record& begin_attempt(int op, bool link);

  /// Something is not as promised. The first complaint is kept.
  void complain(std::string kind, std::string what);
  bool failed() const { return failed_; }
  const std::string& kind() const { return kind_; }
  const std::string& what() const { return what_; }

  void cancel(int op, asio::cancellation_type type);
  void begin(int op);
  void end(int op, std::optional<hf::result<value>> r, std::exception_ptr e);

  std::vector<client> clients;
  stack_facts facts;
  asio::any_io_executor home;
  asio::any_io_executor elsewhere;
  std::function<bool()> knows_home;
  hf::duration slack{0};  ///< How late real time makes things.
  std::deque<operation_record> operations;
  std::deque<attempt_record> attempts;
  std::atomic<int> callables{0};
  std::atomic<int> frames{0};
  std::atomic<int> unfinished{0};  ///< Operations.
  std::atomic<int> running{0};     ///< Attempts.
  std::atomic<bool> gone{false};   ///< The context is being destroyed.
  bool user_threw = false;         ///< A function of the user's has thrown.

 private:
  std::atomic<std::uint64_t> sequence_{0};
  std::mutex mutex_;
  std::atomic<bool> failed_{false};
  std::string kind_;
  std::string what_;
};

std::string text(hf::duration d);
std::string text_of(const std::optional<hf::result<value>>& r, const std::exception_ptr& e);

}  // namespace gen
