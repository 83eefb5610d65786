from __future__ import annotations

import pytest

from spikeformer.error_handling import (
    ArgumentError,
    BackendUnavailableError,
    ProfilingError,
)
from spikeformer.profiling import (
    EnergyProfiler,
    profiler_backends,
)
from tests.profiling.networks import CURRENT, measured, spiking


def test_without_a_counter_auto_takes_the_model_and_the_others_say_so(no_rapl, caplog):
    recording = measured(EnergyProfiler("auto"), spiking(), CURRENT)
    assert recording.get_metrics()["kind"] == "estimate"
    assert "No energy counter on this machine: using the model" in caplog.text
    profiler = EnergyProfiler("pyjoules")
    with pytest.raises(BackendUnavailableError, match="no energy counter"):
        profiler.check_available()
    with pytest.raises(BackendUnavailableError, match="no energy counter"):
        profiler.measure().__enter__()
    measured(EnergyProfiler(), spiking(), CURRENT)  # nothing stayed behind


def test_auto_measures_where_it_can(rapl):
    assert measured(EnergyProfiler("auto"), spiking(), CURRENT).kind == "measured"


def test_mistakes_are_told():
    with pytest.raises(ArgumentError, match=r"'simulation', 'loihi1'.*'tpu'"):
        EnergyProfiler("tpu")
    assert "auto" in profiler_backends()
    with pytest.raises(ArgumentError, match=r"torch\.nn\.Module"):
        EnergyProfiler().attach("model")
    recording = EnergyProfiler().measure()
    with pytest.raises(ProfilingError, match="after the `with` block"):
        recording.get_metrics()
    with recording, pytest.raises(ProfilingError, match="Another measurement"):
        EnergyProfiler().measure().__enter__()
    with pytest.raises(ProfilingError, match="no network ran inside the block"):
        recording.get_metrics()
    with pytest.raises(ProfilingError, match="made once"):
        recording.__enter__()
    failed = EnergyProfiler().measure()
    with pytest.raises(ZeroDivisionError), failed:
        _ = 1 / 0
    with pytest.raises(ProfilingError, match="partial"):
        failed.get_metrics()
