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
)", "pipelines"},
    shipped_file{"metastable", "ten seconds of silence, which one retry makes last for ever", R"({
  "about": "A service at 93 % of its capacity stops for ten seconds, and then has to serve what has come meanwhile. After Bronson et al., Metastable Failures in Distributed Systems, HotOS 2021, figure 2.",
  "lasts": "4m",
  "seed": 7,
  "service": {
    "slots": 1,
    "takes": {"constant": "3ms333us"},
    "brown_outs": [{"from": "30s", "until": "40s", "takes": "10s"}]
  },
  "clients": {"per_second": 280}
}
)", "retry_pipelines"},
    shipped_file{"blocked_workers", "one provider that hangs takes the workers of all routes", R"({
  "about": "A server of 200 workers calls a provider for one of its routes. For two minutes half of the provider's answers take a minute. The other route does not need the provider at all.",
  "lasts": "3m",
  "deadline": "10s",
  "seed": 7,
  "service": {
    "slots": 1000000,
    "takes": {"exponential": "1s"},
    "brown_outs": [{"from": "30s", "until": "150s", "share": 0.5, "takes": "60s"}]
  },
  "clients": {"per_second": 50},
  "server": {
    "workers": 200,
    "other": {"per_second": 400, "takes": {"exponential": "20ms"}}
  }
}
)", "worker_pipelines"},
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
)", "pipelines"},
    shipped_file{"overload", "twice as many calls as the service can serve", R"({
  "about": "The service is well. There are too many calls: twice what it can serve, for ever.",
  "lasts": "2m",
  "deadline": "8s",
  "seed": 7,
  "service": {"slots": 10, "takes": {"exponential": "100ms"}},
  "clients": {"per_second": 200}
}
)", "pipelines"},
};

constexpr std::array pipelines{
    shipped_file{"pipelines", "from three retries at once to the standard stack", R"({
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
)"},
    shipped_file{"retry_pipelines", "a timeout of a second, and one retry or none", R"({
  "defaults": {"timeout": {"after": "1s"}},
  "services": {
    "no_retry": {},
    "one_retry": {
      "retry": {"max_attempts": 2, "wait": {"base": "0s", "cap": "0s"}}
    },
    "budget_15": {
      "retry": {"max_attempts": 2, "wait": {"base": "0s", "cap": "0s"}},
      "retry_budget": {"ratio": 0, "min_per_second": 15}
    },
    "budget_25": {
      "retry": {"max_attempts": 2, "wait": {"base": "0s", "cap": "0s"}},
      "retry_budget": {"ratio": 0, "min_per_second": 25}
    },
    "bulkhead": {
      "retry": {"max_attempts": 2, "wait": {"base": "0s", "cap": "0s"}},
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
)"},
    shipped_file{"worker_pipelines", "timeouts, bulkheads and a breaker that opens at half an outage", R"({
  "defaults": {"timeout": {"after": "5s"}},
  "services": {
    "timeout_60s": {"timeout": {"after": "60s"}},
    "timeout_5s": {},
    "bulkhead_60s": {"timeout": {"after": "60s"}, "bulkhead": {"limit": 80}},
    "bulkhead_5s": {"bulkhead": {"limit": 80}},
    "breaker_5s": {
      "circuit_breaker": {"consecutive_failures": 0, "failure_rate": 0.4, "window": "10s"},
      "bulkhead": {"limit": 80}
    },
    "standard": {
      "retry": {"max_attempts": 3, "wait": {"base": "100ms", "cap": "5s"}},
      "retry_budget": {"ratio": 0.1, "min_per_second": 1},
      "circuit_breaker": {
        "consecutive_failures": 0, "failure_rate": 0.8, "minimum_calls": 20, "open_for": "5s"
      },
      "bulkhead": {"limit": 80, "queue": 80}
    }
  }
}
)"},
};

}  // namespace

std::span<const shipped_file> shipped_scenarios() { return scenarios; }

std::span<const shipped_file> shipped_pipelines() { return pipelines; }

}  // namespace lab
