"""A sample in its file and back."""

from __future__ import annotations

import numpy as np
import pytest

from spikeformer.runs import ResultsError, RunFolder, SampleResults


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "results").mkdir()
    return RunFolder(tmp_path)


def save_arrays(folder, **arrays):
    np.savez(folder.path / SampleResults.file, version=1, **arrays)


def test_sample_results_come_back(folder):
    rng = np.random.default_rng(0)
    saved = SampleResults(
        {"input": rng.random((1, 8, 8)), "audio": rng.random(9), "words": np.array(["a", "狗"])},
        target=np.array(3),
        prediction=np.array(4),
        output=np.array([[np.nan, np.inf]]),
        spikes={"blocks.0/<x>": rng.integers(0, 2, (4, 5), np.uint8), "file": np.zeros((4, 0))},
    )
    saved.save(folder)
    found = SampleResults.load(folder)
    assert found is not None
    for kind in ("inputs", "spikes"):
        assert list(getattr(found, kind)) == list(getattr(saved, kind))
        for name, array in getattr(saved, kind).items():
            np.testing.assert_array_equal(getattr(found, kind)[name], array)
    for name in ("target", "prediction", "output"):
        np.testing.assert_array_equal(getattr(found, name), getattr(saved, name))


def test_sample_results_may_be_empty(folder):
    SampleResults().save(folder)
    assert SampleResults.load(folder) == SampleResults()


def test_sample_results_of_another_version_are_refused(folder):
    np.savez(folder.path / SampleResults.file, version=2)
    with pytest.raises(ResultsError, match=r"sample\.npz to be of version 1.* 2"):
        SampleResults.load(folder)
    np.savez(folder.path / SampleResults.file, input=np.zeros(3))
    with pytest.raises(ResultsError, match=r"sample\.npz to be of version 1"):
        SampleResults.load(folder)


def test_sample_results_cut_short_are_named(folder):
    SampleResults({"input": np.random.default_rng(0).random(999)}).save(folder)
    path = folder.path / SampleResults.file
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ResultsError, match=r"sample\.npz"):
        SampleResults.load(folder)


def test_sample_results_are_not_unpickled(folder):
    save_arrays(folder, input=np.array([{}], dtype=object))
    with pytest.raises(ResultsError, match=r"sample\.npz"):
        SampleResults.load(folder)


def test_sample_results_have_spikes_with_two_axes(folder):
    save_arrays(folder, **{"spikes/a": np.zeros(3)})
    with pytest.raises(ResultsError, match=r"sample\.npz.*spikes/a.*timesteps, neurons"):
        SampleResults.load(folder)
    with pytest.raises(ValueError, match="timesteps, neurons"):
        SampleResults(spikes={"a": np.zeros(3)})
