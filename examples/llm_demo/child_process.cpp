// SPDX-License-Identifier: BSL-1.0
#include "child_process.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/redirect_error.hpp>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace demo {
namespace {

namespace asio = boost::asio;

[[noreturn]] void become(const char* program, char** argv, int output, pid_t parent) {
  // Between fork and exec of a program with threads only async-signal-safe calls are allowed.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) {
    ::_exit(1);  // the parent died before the line above
  }
  // Ctrl-C goes to the whole terminal group. The parent alone acts on it and ends its children,
  // so that it never takes a child's end for a fault.
  ::signal(SIGINT, SIG_IGN);
  ::dup2(output, STDOUT_FILENO);
  // Asio's sockets are inherited unless closed: the child would keep the parent's ports.
  ::close_range(STDERR_FILENO + 1, ~0U, 0);
  ::execv(program, argv);
  ::_exit(127);
}

}  // namespace

child_process::child_process(asio::any_io_executor executor,
                             const std::vector<std::string>& arguments)
    : output_(executor) {
  // Resolved here, so that the child goes by our name in a list of processes.
  const std::string program = std::filesystem::read_symlink("/proc/self/exe");
  std::vector<std::string> words = arguments;
  words.insert(words.begin(), program);
  std::vector<char*> argv;
  for (std::string& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);

  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    throw std::system_error(errno, std::generic_category(), "pipe");
  }
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) {
    become(program.c_str(), argv.data(), ends[1], parent);
  }
  const int error = errno;
  ::close(ends[1]);
  if (pid_ < 0) {
    ::close(ends[0]);
    throw std::system_error(error, std::generic_category(), "fork");
  }
  output_.assign(ends[0]);
}

child_process::~child_process() {
  // A load generator has nothing to save and no children of its own.
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

asio::awaitable<std::optional<std::string>> child_process::read_line() {
  boost::system::error_code ec;
  const std::size_t length = co_await asio::async_read_until(
      output_, asio::dynamic_buffer(buffer_), '\n', asio::redirect_error(asio::deferred, ec));
  if (ec) {
    co_return std::nullopt;
  }
  std::string line = buffer_.substr(0, length - 1);
  buffer_.erase(0, length);
  co_return line;
}

}  // namespace demo
