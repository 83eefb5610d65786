from __future__ import annotations

import pytest

from spikeformer.error_handling import BackendUnavailableError
from spikeformer.profiling.metering import RaplCounter


def test_rapl_adds_packages_and_memory_but_not_their_parts(rapl):
    with RaplCounter() as counter:
        rapl.set("package-0", 3_000_000)
        rapl.set("core", 9_000_000)
        rapl.set("dram-0", 1_500_000)
        assert counter.read() == 2.5
        assert counter.source == "RAPL counters of this machine (package-0, dram of intel-rapl:0)"
        assert counter.kind == "measured"


def test_rapl_goes_on_when_a_counter_wraps_around(rapl):
    rapl.set("package-0", rapl.RANGE_UJ - 1_000_000)
    with RaplCounter() as counter:
        for step in range(1, 4):  # three times round
            rapl.set("package-0", 500_000)
            assert counter.read() == pytest.approx(step * 1.5 + (step - 1) * rapl.RANGE_UJ / 1e6
                                                   - (step - 1) * 1.5)  # fmt: skip
            rapl.set("package-0", rapl.RANGE_UJ - 1_000_000)
            counter.read()


def test_no_counter_says_so_and_names_the_model(no_rapl):
    with pytest.raises(BackendUnavailableError, match=r"no energy counter.*backend='simulation'"):
        RaplCounter()


def test_a_counter_that_may_not_be_read_names_file_and_remedy(rapl, monkeypatch):
    import os

    opened = os.open

    def refuse(path, *args, **kwargs):
        if str(path).endswith("energy_uj"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(BackendUnavailableError, match=r"sudo chmod a\+r .*energy_uj"):
        RaplCounter()


def test_a_counter_that_shows_nonsense_is_an_error_of_its_own(rapl):
    with RaplCounter() as counter:
        rapl.counters["package-0"].write_text("\n")
        with pytest.raises(BackendUnavailableError, match="cannot be read any more"):
            counter.read()
