// SPDX-License-Identifier: BSL-1.0
#include "explore.hpp"

#include <cstdlib>
#include <holdfast/detail/thread_slot.hpp>
#include <iostream>
#include <new>
#include <vector>

// Relacy's allocation functions, which find what is leaked, are inline: they have to be here for
// those who do not see them, and in all their forms.
[[gnu::used]] static void* (*const plain_new)(std::size_t) = &operator new;
[[gnu::used]] static void* (*const array_new)(std::size_t) = &operator new[];
[[gnu::used]] static void (*const plain_delete)(void*) noexcept = &operator delete;
[[gnu::used]] static void (*const array_delete)(void*) noexcept = &operator delete[];
void operator delete(void* p, std::size_t) noexcept { operator delete(p); }
void operator delete[](void* p, std::size_t) noexcept { operator delete[](p); }

namespace model {

namespace sync = holdfast::detail::sync;

namespace {

/// One type for all models of so many threads, so that relacy is compiled for each number once.
template <int Count>
class suite : public rl::test_suite<suite<Count>, Count> {
 public:
  static inline std::unique_ptr<threads> (*make)() = nullptr;

  suite() {
    holdfast::detail::first_thread_slot = 0;
    sync::mutex::begin_run();
    threads_ = make();
  }
  ~suite() {
    threads_.reset();
    sync::mutex::end_run();
  }

  void before() { threads_->before(); }
  void thread(unsigned n) { threads_->thread(n); }
  void after() { threads_->after(); }

 private:
  std::unique_ptr<threads> threads_;
};

template <int Count>
bool simulate(std::unique_ptr<threads> (*make)(), rl::test_params& p) {
  suite<Count>::make = make;
  return rl::simulate<suite<Count>>(p);
}

}  // namespace

void let_others_go_on() { rl::ctx().yield(1, RL_INFO); }

bell::bell() { rings_.init(false, 0, 1000, RL_INFO); }
bell::~bell() { rings_.deinit(RL_INFO); }
void bell::ring() {
  unsigned before = 0;
  rings_.post(1, before, RL_INFO);
}
void bell::wait() { rings_.wait(false, false, RL_INFO); }

explorer::explorer(int argc, char** argv) {
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto number = [&] {
      return i + 1 < words.size() ? std::strtoull(words[++i].data(), nullptr, 10) : 0;
    };
    if (words[i] == "--only" && i + 1 < words.size()) {
      only_ = words[++i];
    } else if (words[i] == "--times") {
      times_ = number();
    } else if (words[i] == "--from") {
      from_ = std::to_string(number());
    } else if (words[i] == "--switches") {
      scheduler_ = rl::fair_context_bound_scheduler_type;
      switches_ = static_cast<unsigned>(number());
    } else if (words[i] == "--full") {
      scheduler_ = rl::fair_full_search_scheduler_type;
    } else {
      std::cerr << "usage: " << argv[0]
                << " [--only NAME] [--times N] [--from RUN] [--switches N | --full]\n";
      std::exit(2);
    }
  }
}

void explorer::explore(std::string_view name, int count, std::uint64_t runs, factory make) {
  if (name.find(only_) == std::string_view::npos) return;
  rl::test_params p;
  p.search_type = scheduler_;
  p.iteration_count = runs * times_;
  p.context_bound = switches_;
  p.execution_depth_limit = 20'000;
  p.initial_state.assign(from_.data(), from_.size());
  rl::ostringstream progress;
  rl::ostringstream report;
  p.progress_stream = &progress;
  p.output_stream = &report;
  const bool held = count == 2 ? simulate<2>(make, p) : simulate<3>(make, p);
  std::cout << name << ": " << p.stop_iteration << " runs" << (held ? "" : ", and in the last:")
            << std::endl;
  if (held) return;
  std::cout << report.str().c_str() << "again: --only '" << name << "' --from " << p.stop_iteration
            << std::endl;
  failed_ = true;
}

}  // namespace model
