from __future__ import annotations

import threading
import time

import pytest
import torch
from torch import nn

from spikeformer.error_handling import (
    ArgumentError,
    BackendUnavailableError,
    ProfilingError,
)
from spikeformer.neurons import LifNeuron
from spikeformer.profiling import EnergyProfiler, PowerMonitor
from spikeformer.profiling.metering import COUNTERS
from tests.profiling.metering.steady import Steady

MODEL = nn.Sequential(LifNeuron(), nn.Linear(6, 4))


@pytest.fixture
def steady(monkeypatch):
    monkeypatch.setitem(COUNTERS, "pyjoules", Steady)


def test_a_counter_is_sampled_in_a_thread(steady):
    threads = threading.active_count()
    with PowerMonitor("pyjoules", sampling_rate_hz=200).record(samples=10) as recording:
        assert threading.active_count() == threads + 1
        time.sleep(0.2)
    assert threading.active_count() == threads
    analysis = recording.analyze()
    # The clock is read a little after the counter, later still on a busy machine.
    assert analysis.average_watts == pytest.approx(5.0, rel=0.1)
    assert analysis.energy_joules == pytest.approx(analysis.average_watts * analysis.seconds)
    energy = analysis.energy_per_sample_uj
    assert energy.value == pytest.approx(analysis.energy_joules * 1e5)
    assert energy.low < energy.value < energy.high
    assert (analysis.kind, analysis.source) == ("measured", "a test")
    assert analysis.jitter_ms >= 0
    assert 5 <= analysis.readings <= 200 * analysis.seconds + 5
    assert recording.analyze(samples=20).energy_per_sample_uj.value == energy.value / 2
    assert "measured" in recording.plot_power_timeline().axes[0].get_title(loc="left")


def test_a_counter_that_vanishes_ends_the_recording_and_keeps_it(steady, monkeypatch, caplog):
    monkeypatch.setattr(Steady, "fails_after", 5)
    with PowerMonitor("pyjoules", sampling_rate_hz=500).record() as recording:
        time.sleep(0.1)
    assert recording.interrupted == "The counter has gone."
    assert "ends early" in caplog.text
    assert recording.analyze().readings == 4
    assert recording.analyze().energy_per_sample_uj is None


def test_a_chip_replays_its_timeline():
    current = torch.rand(3, 4, 5, 6) * 2
    with PowerMonitor("loihi1").record() as recording:
        MODEL(current)
    analysis = recording.analyze()
    with EnergyProfiler("loihi1").measure() as energy:
        MODEL(current)
    metrics = energy.get_metrics()
    assert recording.kind == analysis.kind == "estimate"
    assert analysis.source.startswith("modelled timeline, 1 ms for each timestep: Davies")
    assert (analysis.readings, analysis.seconds) == (12, pytest.approx(0.012))
    assert analysis.energy_joules * 1e6 == pytest.approx(metrics["energy_total_uj"])
    assert analysis.energy_per_sample_uj.high == metrics["energy_per_sample_high_uj"]
    # Spikes come in bursts: power follows them.
    assert recording.watts[:4].tolist() == recording.watts[4:8].tolist()
    assert analysis.peak_watts > analysis.average_watts


def test_mistakes_are_told_and_leave_nothing_behind(no_rapl):
    with pytest.raises(ArgumentError, match=r"'loihi2'.*'cpu_time'.*'tpu'"):
        PowerMonitor("tpu")
    with pytest.raises(ArgumentError, match="sampling_rate_hz"):
        PowerMonitor(sampling_rate_hz=0)
    with pytest.raises(BackendUnavailableError, match="no energy counter"):
        PowerMonitor("pyjoules").record().__enter__()
    recording = PowerMonitor().record()
    with pytest.raises(ProfilingError, match="after its `with` block"):
        recording.analyze()
    with recording:
        MODEL(torch.rand(1, 2, 6))
        with pytest.raises(ProfilingError, match="Another measurement"):
            EnergyProfiler().measure().__enter__()
    with pytest.raises(ProfilingError, match="made once"):
        recording.__enter__()
    with pytest.raises(ProfilingError, match="no network ran"), PowerMonitor().record():
        pass
    failed = PowerMonitor().record()
    with pytest.raises(ZeroDivisionError), failed:
        _ = 1 / 0
    with pytest.raises(ProfilingError, match="raised an error"):
        failed.analyze()
    with PowerMonitor().record():  # after all of that one may measure again
        MODEL(torch.rand(1, 2, 6))


def test_cpu_time_is_labelled_a_proxy():
    with PowerMonitor("cpu_time", sampling_rate_hz=50).record() as recording:
        start = time.process_time()
        while time.process_time() - start < 0.1:
            pass
    assert recording.analyze().kind == "proxy"
    assert recording.analyze().energy_joules > 0
