// SPDX-License-Identifier: BSL-1.0
#ifndef HOLDFAST_BENCHMARKS_TABLE_HPP
#define HOLDFAST_BENCHMARKS_TABLE_HPP

#include <benchmark/benchmark.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

/// Collects what the repetitions of each row measured, and prints a line for each row at the end.
class table : public benchmark::BenchmarkReporter {
 public:
  enum class form {
    terminal,  ///< Every row that ran.
    readme,    ///< The rows that the README shows, in its words, as Markdown.
  };

  explicit table(form f) : form_(f) {}

  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override;
  void Finalize() override;

  bool has_failed() const { return failed_; }

 private:
  /// Of one row; a vector has an element for each repetition.
  struct row {
    std::vector<double> added;  ///< Beyond the bare call, ns; without one, all that it took.
    std::vector<double> bare;   ///< Empty: the row has no bare call.
    std::vector<double> per_second;
    double allocations = 0;
    std::string others;  ///< Counters that only this row has.
  };

  const row* find(std::string_view name) const;
  /// What the row adds, as a share of what Asio's own timeout adds on the same executor.
  std::optional<double> share(std::string_view name, const row& r) const;
  /// The README's rows as it has them, then the others by name.
  std::vector<std::string_view> order() const;
  void print_terminal() const;
  void print_readme() const;
  void print_more_policies() const;
  void print_shared_by_threads() const;

  form form_;
  bool failed_ = false;
  std::map<std::string, row, std::less<>> rows_;
};

}  // namespace bench

#endif
