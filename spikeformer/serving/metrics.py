"""Counts of a server in the text format of Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ServingMetrics:
    """Counts requests by status, samples, and response times.

    Attributes:
        samples: Samples that were predicted.

    Source: Prometheus, *Exposition formats*, text format 0.0.4.

    Example:
        >>> metrics = ServingMetrics()
        >>> metrics.add(200, seconds=0.03)
        >>> 'spikeformer_requests_total{status="200"} 1' in metrics.text({})
        True
    """

    def __init__(self) -> None:
        self._requests: Counter[int] = Counter()
        self._buckets: Counter[float] = Counter()
        self.samples = 0
        self._seconds = 0.0

    def add(self, status: int, seconds: float) -> None:
        """Count a response."""
        self._requests[status] += 1
        self._seconds += seconds
        self._buckets.update(limit for limit in _SECONDS if seconds <= limit)

    def text(self, gauges: Mapping[str, float]) -> str:
        """Return all numbers, with the present values of others by name."""
        total = sum(self._requests.values())
        lines = ["# TYPE spikeformer_requests_total counter"]
        lines += [
            f'spikeformer_requests_total{{status="{status}"}} {count}'
            for status, count in sorted(self._requests.items())
        ]
        lines += [
            "# TYPE spikeformer_samples_total counter",
            f"spikeformer_samples_total {self.samples}",
            "# TYPE spikeformer_request_seconds histogram",
            *(
                f'spikeformer_request_seconds_bucket{{le="{limit:g}"}} {self._buckets[limit]}'
                for limit in _SECONDS
            ),
            f'spikeformer_request_seconds_bucket{{le="+Inf"}} {total}',
            f"spikeformer_request_seconds_sum {self._seconds:.6f}",
            f"spikeformer_request_seconds_count {total}",
        ]
        for name, value in gauges.items():
            lines += [f"# TYPE spikeformer_{name} gauge", f"spikeformer_{name} {value:g}"]
        return "\n".join([*lines, ""])
