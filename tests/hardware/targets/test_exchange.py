"""What a worker is given and gives back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import sparse

from spikeformer.hardware.targets.exchange import (
    pack_sparse,
    read_job,
    unpack_sparse,
    write_result,
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_unpack_sparse_undoes_pack_sparse():
    dense = np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    arrays = pack_sparse("synapses/0", sparse.csr_array(dense))
    assert {name.rpartition("/")[0] for name in arrays} == {"synapses/0"}
    found = unpack_sparse("synapses/0", arrays)
    assert isinstance(found, sparse.csr_matrix)
    np.testing.assert_array_equal(found.toarray(), dense)


def test_read_job_returns_arrays_and_settings(folder):
    np.savez(folder / "job.npz", x=np.arange(3))
    (folder / "job.json").write_text('{"name": "µ"}', encoding="utf-8")
    arrays, settings = read_job()
    assert arrays["x"].tolist() == [0, 1, 2]
    assert settings == {"name": "µ"}


def test_read_job_refuses_pickled_objects(folder):
    np.savez(folder / "job.npz", x=np.array([{}], dtype=object))
    (folder / "job.json").write_text("{}")
    with pytest.raises(ValueError, match="pickle"):
        read_job()


def test_write_result_writes_the_json_last(folder):
    with pytest.raises(TypeError):
        write_result({"x": np.arange(2)}, {"not": object()})
    assert not (folder / "result.json").exists()
    write_result({"x": np.arange(2)}, {"steps": 5})
    assert json.loads((folder / "result.json").read_text()) == {"steps": 5}
    assert np.load(folder / "result.npz")["x"].tolist() == [0, 1]
