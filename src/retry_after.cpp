// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <array>
#include <holdfast/retry_after.hpp>
#include <span>

namespace holdfast {

namespace {

using namespace std::chrono;

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// Reads a text from its beginning; each function takes what it has read away, or reads nothing.
class reader {
 public:
  explicit reader(std::string_view text) noexcept : rest_(text) {}

  bool done() const noexcept { return rest_.empty(); }

  bool literal(std::string_view what) noexcept {
    if (!rest_.starts_with(what)) return false;
    rest_.remove_prefix(what.size());
    return true;
  }

  /// Exactly `digits` digits.
  bool number(int digits, int& out) noexcept {
    if (rest_.size() < static_cast<std::size_t>(digits)) return false;
    int n = 0;
    for (int i = 0; i < digits; ++i) {
      const char c = rest_[static_cast<std::size_t>(i)];
      if (!is_digit(c)) return false;
      n = n * 10 + (c - '0');
    }
    rest_.remove_prefix(static_cast<std::size_t>(digits));
    out = n;
    return true;
  }

  /// One of the names; `out` is its index.
  bool name(std::span<const std::string_view> names, unsigned& out) noexcept {
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (literal(names[i])) {
        out = static_cast<unsigned>(i);
        return true;
      }
    }
    return false;
  }

  /// Digits with or without a fraction, times `unit`, rounded up: never earlier than was asked for.
  std::optional<duration> amount(duration unit) noexcept {
    if (rest_.empty() || !is_digit(rest_.front())) return {};
    const auto most = duration::max().count();
    std::int64_t whole = 0;
    bool too_long = false;
    while (!rest_.empty() && is_digit(rest_.front())) {
      const std::int64_t digit = rest_.front() - '0';
      too_long = too_long || whole > (most / unit.count() - digit) / 10;
      if (!too_long) whole = whole * 10 + digit;
      rest_.remove_prefix(1);
    }
    std::int64_t part = 0;
    if (rest_.size() > 1 && rest_.front() == '.' && is_digit(rest_[1])) {
      rest_.remove_prefix(1);
      std::int64_t scale = unit.count();
      bool inexact = false;
      while (!rest_.empty() && is_digit(rest_.front())) {
        const std::int64_t digit = rest_.front() - '0';
        if (scale % 10 == 0) {
          scale /= 10;
          part += digit * scale;
        } else {
          inexact = inexact || digit != 0;
        }
        rest_.remove_prefix(1);
      }
      if (inexact) part += scale;
    }
    if (too_long || whole * unit.count() > most - part) return duration::max();
    return duration(whole * unit.count() + part);
  }

 private:
  std::string_view rest_;
};

constexpr std::array<std::string_view, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::array<std::string_view, 7> short_days{"Mon", "Tue", "Wed", "Thu",
                                                     "Fri", "Sat", "Sun"};
constexpr std::array<std::string_view, 7> long_days{"Monday", "Tuesday",  "Wednesday", "Thursday",
                                                    "Friday", "Saturday", "Sunday"};

struct fields {
  int year = 0;
  unsigned month = 0;  // from 0
  int day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
};

bool read_time(reader& r, fields& f) noexcept {
  return r.number(2, f.hour) && r.literal(":") && r.number(2, f.minute) && r.literal(":") &&
         r.number(2, f.second);
}

std::optional<fields> read_fixed(std::string_view text) noexcept {
  reader r(text);
  fields f;
  unsigned day{};
  const bool ok = r.name(short_days, day) && r.literal(", ") && r.number(2, f.day) &&
                  r.literal(" ") && r.name(months, f.month) && r.literal(" ") &&
                  r.number(4, f.year) && r.literal(" ") && read_time(r, f) && r.literal(" GMT") &&
                  r.done();
  return ok ? std::optional(f) : std::nullopt;
}

std::optional<fields> read_rfc850(std::string_view text, year_month_day today) noexcept {
  reader r(text);
  fields f;
  unsigned day{};
  const bool ok = r.name(long_days, day) && r.literal(", ") && r.number(2, f.day) &&
                  r.literal("-") && r.name(months, f.month) && r.literal("-") &&
                  r.number(2, f.year) && r.literal(" ") && read_time(r, f) && r.literal(" GMT") &&
                  r.done();
  if (!ok) return {};
  const int this_year = static_cast<int>(today.year());
  f.year += this_year - this_year % 100 + 100;
  const auto too_far_ahead = [&] {
    const month_day later(month(f.month + 1), std::chrono::day(static_cast<unsigned>(f.day)));
    return f.year > this_year + 50 ||
           (f.year == this_year + 50 && later > today.month() / today.day());
  };
  while (too_far_ahead()) f.year -= 100;
  return f;
}

std::optional<fields> read_asctime(std::string_view text) noexcept {
  reader r(text);
  fields f;
  unsigned day{};
  const auto read_day = [&] { return r.literal(" ") ? r.number(1, f.day) : r.number(2, f.day); };
  const bool ok = r.name(short_days, day) && r.literal(" ") && r.name(months, f.month) &&
                  r.literal(" ") && read_day() && r.literal(" ") && read_time(r, f) &&
                  r.literal(" ") && r.number(4, f.year) && r.done();
  return ok ? std::optional(f) : std::nullopt;
}

std::string_view trimmed(std::string_view s) noexcept {
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  while (!s.empty() && is_space(s.front())) s.remove_prefix(1);
  while (!s.empty() && is_space(s.back())) s.remove_suffix(1);
  return s;
}

/// The whole text as a number of `unit`.
std::optional<duration> whole_amount(std::string_view text, duration unit) noexcept {
  reader r(trimmed(text));
  const auto d = r.amount(unit);
  return r.done() ? d : std::nullopt;
}

}  // namespace

std::optional<sys_seconds> parse_http_date(std::string_view value,
                                           system_clock::time_point now) noexcept {
  const std::string_view text = trimmed(value);
  const year_month_day today(floor<std::chrono::days>(now));
  auto f = read_fixed(text);
  if (!f) f = read_rfc850(text, today);
  if (!f) f = read_asctime(text);
  if (!f) return {};
  const year_month_day date(year(f->year), month(f->month + 1), day(static_cast<unsigned>(f->day)));
  // A leap second is the 60th.
  if (!date.ok() || f->hour > 23 || f->minute > 59 || f->second > 60) return {};
  return sys_days(date) + hours(f->hour) + minutes(f->minute) + seconds(f->second);
}

std::optional<duration> parse_retry_after(std::string_view value,
                                          system_clock::time_point now) noexcept {
  if (const auto delay = whole_amount(value, seconds(1))) return delay;
  const auto date = parse_http_date(value, now);
  if (!date) return {};
  const sys_seconds second = floor<seconds>(now);
  if (*date <= second) return duration::zero();
  const seconds ahead = *date - second;
  if (ahead > floor<seconds>(duration::max())) return duration::max();
  return duration(ahead) - ceil<duration>(now - second);
}

std::optional<duration> parse_retry_after_ms(std::string_view value) noexcept {
  return whole_amount(value, milliseconds(1));
}

std::optional<duration> parse_delay(std::string_view text) noexcept {
  struct unit {
    std::string_view name;
    duration length;
  };
  // The longer names first: "ms" is no minute.
  static constexpr std::array<unit, 6> units{{{"ms", milliseconds(1)},
                                              {"us", microseconds(1)},
                                              {"ns", nanoseconds(1)},
                                              {"h", hours(1)},
                                              {"m", minutes(1)},
                                              {"s", seconds(1)}}};
  const std::string_view whole = trimmed(text);
  std::string_view rest = whole;
  duration sum = duration::zero();
  do {
    // The number is read once its unit is known.
    const auto digits = std::min(rest.find_first_not_of("0123456789."), rest.size());
    const std::string_view after = rest.substr(digits);
    const auto names = [&](const unit& x) { return after.starts_with(x.name); };
    const auto u = std::ranges::find_if(units, names);
    if (u == units.end()) return {};
    const auto part = whole_amount(rest.substr(0, digits), u->length);
    if (!part) return {};
    sum = *part > duration::max() - sum ? duration::max() : sum + *part;
    rest = after.substr(u->name.size());
  } while (!rest.empty());
  return sum;
}

}  // namespace holdfast
