"""What a file may hold, and what is refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.hardware import import_nir
from spikeformer.hardware.nir import reading
from tests.hardware.nir.files import lif, nir, write


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (lif(1e-4), "do not resolve"),
        (lif(2e-3, reset=0.5), "do not lie above its reset"),
        (lif(np.array([2e-3, 3e-3, 4e-3])), "tau of its own"),
        (nir.Delay(np.full(3, 1.5e-3)), "delays by something else"),
    ],
    ids=["dt", "reset", "taus", "delay"],
)
def test_what_is_not_read_is_named(tmp_path, node, message):
    with pytest.raises(HardwareCompatibilityError, match=f"'n0'.*{message}"):
        import_nir(write(tmp_path / "a.nir", node))


def test_every_node_of_the_package_is_known_and_others_are_named(tmp_path, monkeypatch):
    kinds = {kind for kind in vars(nir.ir).values() if isinstance(kind, type)}
    nodes = {kind.__name__ for kind in kinds if issubclass(kind, nir.ir.NIRNode)}
    ends = {"NIRNode", "NIRGraph", "Input", "Output"}
    assert nodes - ends == set(reading._MAKERS)
    monkeypatch.delitem(reading._MAKERS, "LIF")
    with pytest.raises(HardwareCompatibilityError, match=r"'n0' is a LIF.*Known are Linear"):
        import_nir(write(tmp_path / "a.nir", lif(2e-3)))


def test_a_file_without_a_step_is_read_with_a_warning(tmp_path):
    path = write(tmp_path / "a.nir", lif(2e-3), dt=None)
    with pytest.warns(UserWarning, match=r"does not say .* 0\.001 s is taken.*1e-4 for snnTorch"):
        import_nir(path)
    import_nir(path, dt=1e-4)
