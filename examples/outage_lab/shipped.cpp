// SPDX-License-Identifier: BSL-1.0
#include "shipped.hpp"

#include <array>

namespace lab {

namespace {

constexpr std::array scenarios{
    shipped_file{"retry_storm", "a minute of hanging requests, which retries prolong for ever", R"({
  "about": "For a minute one request in seven hangs. The service does not notice when its callers give up: it serves what nobody waits for any more.",
  "lasts": "5m",
  "deadline": "20s",
  "seed": 7,
  "service": {
    "slots": 23,
    "takes": {"exponential": "200ms"},
    "brown_outs": [{"from": "60s", "until": "120s", "share": 0.15, "takes": "2s", "fails": true}]
  },
  "clients": {"sessions": 1000, "think": "10s"}
}
)"},
    shipped_file{"outage", "ten seconds of silence at nearly full load", R"({
  "about": "A service at 93 % of its capacity stops for ten seconds, and then has to serve what has come meanwhile. After Bronson et al., Metastable Failures in Distributed Systems, HotOS 2021, figure 2.",
  "lasts": "4m",
  "deadline": "4s",
  "seed": 7,
  "service": {
    "slots": 1,
    "takes": {"constant": "3ms333us"},
    "brown_outs": [{"from": "30s", "until": "40s", "takes": "10s"}]
  },
  "clients": {"per_second": 280}
}
)"},
    shipped_file{"half_outage", "two minutes in which every second call hangs", R"({
  "about": "For two minutes half of the answers take a minute. The other half is as good as ever: to stop calling would make half an outage a whole one.",
  "lasts": "4m",
  "deadline": "10s",
  "seed": 7,
  "service": {
    "slots": 1000000,
    "takes": {"exponential": "300ms"},
    "brown_outs": [{"from": "60s", "until": "180s", "share": 0.5, "takes": "60s"}]
  },
  "clients": {"per_second": 50}
}
)"},
    shipped_file{"overload", "twice as many calls as the service can serve", R"({
  "about": "The service is well. There are too many calls: twice what it can serve, for ever.",
  "lasts": "2m",
  "deadline": "8s",
  "seed": 7,
  "service": {"slots": 20, "takes": {"exponential": "50ms"}},
  "clients": {"per_second": 800}
}
)"},
};

constexpr shipped_file pipelines{"pipelines", "from three retries at once to the standard stack", R"({
  "defaults": {"timeout": {"after": "2s"}},
  "services": {
    "naive": {
      "retry": {"max_attempts": 4, "wait": {"base": "0s", "cap": "0s"}}
    },
    "jitter": {
      "retry": {"max_attempts": 4, "wait": {"base": "500ms", "cap": "20s"}}
    },
    "budget": {
      "retry": {"max_attempts": 4, "wait": {"base": "500ms", "cap": "20s"}},
      "retry_budget": {"ratio": 0.1}
    },
    "breaker": {
      "retry": {"max_attempts": 4, "wait": {"base": "500ms", "cap": "20s"}},
      "circuit_breaker": {"consecutive_failures": 0, "failure_rate": 0.5, "open_for": "5s"}
    },
    "bulkhead": {
      "retry": {"max_attempts": 4, "wait": {"base": "500ms", "cap": "20s"}},
      "bulkhead": {"limit": 32}
    },
    "standard": {
      "retry": {"max_attempts": 3, "wait": {"base": "100ms", "cap": "5s"}},
      "retry_budget": {"ratio": 0.1, "min_per_second": 1},
      "circuit_breaker": {
        "consecutive_failures": 0, "failure_rate": 0.8, "minimum_calls": 20, "open_for": "5s"
      },
      "bulkhead": {"limit": 32, "queue": 32}
    }
  }
}
)"};

}  // namespace

std::span<const shipped_file> shipped_scenarios() { return scenarios; }

const shipped_file& shipped_pipelines() { return pipelines; }

}  // namespace lab
