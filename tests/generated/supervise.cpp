// SPDX-License-Identifier: BSL-1.0
#include "supervise.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <holdfast/testing/seed.hpp>
#include <map>
#include <new>
#include <string_view>
#include <thread>

namespace gen {

namespace {

using clock = std::chrono::steady_clock;

/// What the processes share: how far the child is, and what it found.
struct board {
  std::atomic<std::uint64_t> at{0};
  std::atomic<std::uint64_t> skipped{0};
  char kind[128] = {};
  char what[8192] = {};

  void write(const verdict_of& v) {
    std::snprintf(kind, sizeof(kind), "%s", v.kind.c_str());
    std::snprintf(what, sizeof(what), "%s", v.what.c_str());
  }
  verdict_of read() const { return {.kind = kind, .what = what, .skipped = false}; }
};

board& shared_board() {
  static board* b = [] {
    void* p = mmap(nullptr, sizeof(board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return new (p) board;
  }();
  return *b;
}

/// Where a child's standard error goes: a sanitizer writes its report there.
std::string report_path() { return fmt::format("/tmp/generated.{}.report", getpid()); }

/// What a sanitizer says of a process that it ended, in a few words and in full.
verdict_of read_report(const std::string& path, std::string otherwise) {
  std::ifstream file(path);
  std::string all(std::istreambuf_iterator<char>(file), {});
  constexpr std::string_view summary = "SUMMARY: ";
  const auto at = all.find(summary);
  if (at != std::string::npos) {
    std::string line = all.substr(at + summary.size());
    line.resize(std::min(line.find('\n'), line.size()));
    // Its first three words; the rest is a place.
    std::size_t end = 0;
    for (int words = 0; words < 2 && end != std::string::npos; ++words) {
      end = line.find(' ', end + 1);
    }
    otherwise = line.substr(0, end);
  }
  const auto runtime = all.find("runtime error: ");
  if (runtime != std::string::npos) otherwise = "UndefinedBehaviorSanitizer";
  if (all.find("data race") != std::string::npos) otherwise = "ThreadSanitizer: data race";
  return {.kind = std::move(otherwise), .what = all.substr(0, 7000), .skipped = false};
}

enum exit_code { all_well = 0, found = 3 };

/// Runs a function in a child, and says how that ended. `progress` tells the watchdog that it lives.
template <class F, class Progress>
verdict_of in_child(const F& f, std::chrono::seconds patience, const Progress& progress) {
  const std::string path = report_path();
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    const int file = open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    dup2(file, STDERR_FILENO);
    report_and_exit(f());
  }
  auto seen = progress();
  auto since = clock::now();
  auto nap = std::chrono::microseconds(20);
  for (;;) {
    int status = 0;
    if (waitpid(child, &status, WNOHANG) == child) {
      verdict_of v;
      if (WIFEXITED(status) && WEXITSTATUS(status) == all_well) {
      } else if (WIFEXITED(status) && WEXITSTATUS(status) == found) {
        v = shared_board().read();
      } else {
        v = read_report(path, WIFSIGNALED(status)
                                  ? fmt::format("signal {}", WTERMSIG(status))
                                  : fmt::format("exit {}", WEXITSTATUS(status)));
      }
      unlink(path.c_str());
      return v;
    }
    if (progress() != seen) {
      seen = progress();
      since = clock::now();
    }
    if (clock::now() - since > patience) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      unlink(path.c_str());
      return {.kind = "hang", .what = "the trial did not come to its end in time", .skipped = false};
    }
    std::this_thread::sleep_for(nap);  // the trial is another process
    nap = std::min<std::chrono::microseconds>(nap * 2, std::chrono::milliseconds(20));
  }
}

/// Each draw has a seed of its own, made of the base one and its place.
std::uint64_t seed_of(const order& o, std::uint64_t i) {
  return o.only ? o.seed : chance(o.seed * 0x9e3779b97f4a7c15 + i)();
}

void print_failure(const order& o, const draw& d, const draw& smallest, const verdict_of& first,
                   const verdict_of& last) {
  fmt::print("FAILED: {}\n  {}\n", first.kind, first.what);
  fmt::print("again: HOLDFAST_SEED={} --only-seed, or --only-seed {}\n", d.seed, d.seed);
  fmt::print("drawn:\n{}", describe(d, o.real));
  fmt::print("the smallest that fails alike:\n{}  {}\n", describe(smallest, o.real), last.what);
  fmt::print("---- as a test case ----\n{}------------------------\n\n",
             program_text(smallest, o.real, last));
  std::fflush(stdout);
}

template <class Number>
bool number(std::string_view s, Number& n) {
  const auto r = std::from_chars(s.data(), s.data() + s.size(), n);
  return r.ec == std::errc() && r.ptr == s.data() + s.size();
}

}  // namespace

void report_and_exit(const verdict_of& v) {
  if (!v.kind.empty()) shared_board().write(v);
  _exit(v.kind.empty() ? all_well : found);
}

verdict_of trial_process::operator()(const draw& d) const {
  return in_child(
      [&] {
        draw copy = d;
        return run_(copy);
      },
      patience_, [] { return 0; });
}

bool parse(int argc, char** argv, order& o) {
  o.seed = hf::testing::seed_or(o.seed);
  for (int i = 1; i < argc; ++i) {
    const std::string_view what = argv[i];
    const std::string_view with = i + 1 < argc ? argv[i + 1] : "";
    bool good = true;
    unsigned seconds = 0;
    if (what == "--keep-going") {
      o.keep_going = true;
      continue;
    }
    if (what == "--seed") {
      good = number(with, o.seed);
    } else if (what == "--only-seed") {
      o.only = true;
      o.draws = 1;
      good = number(with, o.seed);
    } else if (what == "--draws") {
      good = number(with, o.draws);
    } else if (what == "--seconds") {
      good = number(with, seconds);
      o.seconds = std::chrono::seconds(seconds);
    } else if (what == "--without") {
      good = drawn_classes().leave_out(with);
    } else if (what == "--without-policies") {
      policies_left_out() = with;
    } else {
      good = false;
    }
    ++i;
    if (good) continue;
    fmt::print(stderr,
               "usage: {} [--seed N] [--draws N | --seconds S] [--only-seed N] [--keep-going]\n"
               "       [--without CLASS,...] [--without-policies LETTERS]\nclasses: {}\n",
               argv[0], classes::names());
    return false;
  }
  return true;
}

int supervise(const order& o, runner run) {
  board& b = shared_board();
  const auto began = clock::now();
  const auto over = [&] {
    return o.seconds.count() != 0 && clock::now() - began >= o.seconds;
  };
  std::map<std::string, std::uint64_t> kinds;
  while ((o.draws == 0 || b.at < o.draws) && !over()) {
    const verdict_of v = in_child(
        [&] {
          for (std::uint64_t i = b.at; o.draws == 0 || i < o.draws; ++i) {
            b.at = i;
            if (i % 16 == 0 && over()) return verdict_of();
            draw d = fresh_draw(seed_of(o, i), o.real);
            verdict_of found = run(d);
            b.skipped += found.skipped;
            if (!found.kind.empty()) return found;
          }
          b.at = o.draws;
          return verdict_of();
        },
        o.patience, [&b] { return b.at.load(); });
    if (v.kind.empty()) continue;
    const std::uint64_t i = b.at;
    if (++kinds[v.kind] == 1) {
      draw d = fresh_draw(seed_of(o, i), o.real);
      complete(d);
      const trial_process again(run, o.patience);
      const draw smallest = shrink(d, v.kind, again, o.repeats, std::chrono::seconds(30));
      verdict_of last = again(smallest);
      if (last.kind.empty()) {
        last = v;
        last.what += " (not seen again: a race, or a machine that stood still)";
      }
      print_failure(o, d, smallest, v, last);
    }
    if (!o.keep_going) break;
    ++b.at;
  }
  const double took = std::chrono::duration<double>(clock::now() - began).count();
  fmt::print("{} draws from seed {} in {:.1f} s ({:.0f} a second), {} refused by the library\n",
             b.at.load(), o.seed, took, static_cast<double>(b.at) / took, b.skipped.load());
  for (const auto& [kind, count] : kinds) fmt::print("  {:>8}  {}\n", count, kind);
  return kinds.empty() ? 0 : 1;
}

}  // namespace gen
