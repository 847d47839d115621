// SPDX-License-Identifier: BSL-1.0
//
// This program once more, in another process, with other arguments.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace demo {

/// Ends with its owner: the destructor terminates it and waits for it, and should this process die
/// without running destructors, the kernel kills the child.
class child_process {
 public:
  /// Throws std::system_error. To be called on the main thread: the kernel takes the end of the
  /// thread that started a child for the end of its parent.
  child_process(boost::asio::any_io_executor executor, const std::vector<std::string>& arguments);
  ~child_process();

  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;

  /// The next line of its standard output, without the line's end; nothing once it has ended.
  boost::asio::awaitable<std::optional<std::string>> read_line();

 private:
  pid_t pid_ = -1;
  boost::asio::posix::stream_descriptor output_;
  std::string buffer_;
};

}  // namespace demo
