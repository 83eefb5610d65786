"""Counts in Prometheus's text format."""

from __future__ import annotations

from spikeformer.serving.metrics import ServingMetrics


def test_counts_sums_and_cumulative_buckets():
    metrics = ServingMetrics()
    metrics.add(200, seconds=0.02)
    metrics.add(200, seconds=0.3)
    metrics.samples += 4
    metrics.add(400, seconds=100.0)
    text = metrics.text({"workers": 2.0})
    assert text.endswith("\n")
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert lines['spikeformer_requests_total{status="200"}'] == "2"
    assert lines['spikeformer_requests_total{status="400"}'] == "1"
    assert lines["spikeformer_samples_total"] == "4"
    buckets = [int(value) for name, value in lines.items() if "_bucket" in name]
    assert buckets == sorted(buckets)
    assert lines['spikeformer_request_seconds_bucket{le="0.025"}'] == "1"
    assert lines['spikeformer_request_seconds_bucket{le="0.5"}'] == "2"
    assert lines['spikeformer_request_seconds_bucket{le="+Inf"}'] == "3"
    assert float(lines["spikeformer_request_seconds_sum"]) == 100.32
    assert lines["spikeformer_workers"] == "2"
    types = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(types) == len({line.split()[2] for line in types})
