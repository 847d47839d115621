// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_TESTS_MODEL_EXPLORE_HPP
#define HOLDFAST_TESTS_MODEL_EXPLORE_HPP

#include <cstdint>
#include <holdfast/detail/sync.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

/// Models of Holdfast's kernels: the library's own sources, explored by relacy.
namespace model {

/// What must hold; what does not ends the run, and is printed with all that led to it.
#define MUST(x) RL_ASSERT(x)

/// A few threads and what they do, made anew for each run. What must hold when all of them have
/// ended is checked by `after`; with `MUST`, as in the threads.
class threads {
 public:
  virtual ~threads() = default;
  virtual void before() {}
  virtual void thread(unsigned n) = 0;
  virtual void after() {}
};

/// Data without protection of its own: a thread that touches it while another may be writing to it
/// fails the run. What a kernel hands over is stood for by these.
class payload {
 public:
  using place = holdfast::detail::sync::place;

  void write(unsigned v, place p = place::current()) { value_(holdfast::detail::sync::at(p)) = v; }
  unsigned read(place p = place::current()) const { return value_(holdfast::detail::sync::at(p)); }

 private:
  rl::var<unsigned> value_{0};
};

/// For a thread that looks again and again for what others do.
void let_others_go_on();

/// What an operation that is suspended stands for: a thread that does nothing until it is resumed.
class bell {
 public:
  bell();
  ~bell();
  bell(const bell&) = delete;
  void ring();
  void wait();

 private:
  struct tag;
  rl::semaphore<tag> rings_;
};

/// Explores the models of one program, as its command line says.
class explorer {
 public:
  explorer(int argc, char** argv);

  /// So many random runs, unless the command line asks for more or for another search.
  template <class Model>
  void explore(std::string_view name, std::uint64_t runs) {
    explore(name, Model::count, runs,
            []() -> std::unique_ptr<threads> { return std::make_unique<Model>(); });
  }

  /// Every run there is, of a model that is small enough.
  template <class Model>
  void explore_all(std::string_view name) {
    const auto asked_for = std::exchange(scheduler_, rl::fair_full_search_scheduler_type);
    explore<Model>(name, 0);
    scheduler_ = asked_for;
  }

  /// What `main` returns.
  int result() const noexcept { return failed_ ? 1 : 0; }

 private:
  using factory = std::unique_ptr<threads> (*)();
  void explore(std::string_view name, int count, std::uint64_t runs, factory make);

  rl::scheduler_type_e scheduler_ = rl::random_scheduler_type;
  std::uint64_t times_ = 1;  // by which the number of random runs is multiplied
  std::string from_;         // the first of them
  unsigned switches_ = 2;    // of threads, where these are bounded
  std::string_view only_;    // models whose names hold this
  bool failed_ = false;
};

}  // namespace model

#endif
