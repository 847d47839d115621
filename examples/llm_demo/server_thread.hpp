// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/io_context.hpp>

#include <thread>

namespace demo {

/// An io_context and the one thread that runs it. Start the servers on `context()`, then `run()`.
///
/// The concurrency hint 1 says that one thread runs it, and so tells Holdfast that its coroutines
/// need no strand. The destructor stops the thread and then destroys the context with all that
/// is still under way in it.
class server_thread {
 public:
  server_thread() = default;
  server_thread(const server_thread&) = delete;
  server_thread& operator=(const server_thread&) = delete;
  ~server_thread() {
    context_.stop();
    if (thread_.joinable()) {
      thread_.join();
    }
  }

  boost::asio::io_context& context() { return context_; }
  void run() {
    thread_ = std::thread([this] { context_.run(); });
  }

 private:
  boost::asio::io_context context_{1};
  std::thread thread_;
};

}  // namespace demo
