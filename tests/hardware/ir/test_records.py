"""Files that were crafted, checksum and all, are refused or harmless: nothing of them crashes."""

from __future__ import annotations

import copy
import json
import shutil
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeformer.encoding import RateCoding
from spikeformer.error_handling import HardwareCompatibilityError
from spikeformer.files import file_hash
from spikeformer.hardware import HardwareModel, lower, place, quantise, simulate, simulate_integers
from spikeformer.hardware.targets.loihi2.target import LOIHI2
from tests.hardware.networks import spikes_for, vit


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A compiled network with every kind of operator, integers, an encoder and a placement."""
    folder = tmp_path_factory.mktemp("graph")
    lowered = lower(vit(encoding=RateCoding(3, clamp=True)), (1, 6, 6))
    integers, placement = quantise(lowered.graph), place(lowered.graph, LOIHI2)
    HardwareModel("loihi2", lowered.graph, lowered.encoder, integers, placement).save(folder)
    content = json.loads((folder / "graph.json").read_text())
    with np.load(folder / "graph.npz") as archive:
        return folder, content, dict(archive)


def write(folder, content, arrays):
    np.savez(folder / "graph.npz", **arrays)
    content = {**content, "npz_sha256": file_hash(folder / "graph.npz")}
    (folder / "graph.json").write_text(json.dumps(content))


def sparse_operator(content) -> dict[str, Any]:
    """Return a description whose indices a kernel would follow."""
    operators = [p["operator"] for p in content["graph"]["projections"]]
    return next(o for o in operators if o["kind"] == "Sparse")


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("indices", lambda x: x + 10**9),
        ("indices", lambda x: -x - 1),
        ("indices", lambda x: x[:-1]),
        ("indices", lambda x: x.astype(np.float64)),
        ("indptr", lambda x: x[::-1]),
        ("indptr", lambda x: x * 10**6),
        ("indptr", lambda x: x - 1),
        ("indptr", lambda x: x[:-1]),
        ("indptr", lambda x: x.reshape(1, -1)),
        ("data", lambda x: x[:-1]),
        ("data", lambda x: x * np.nan),
        ("data", lambda x: x.astype(">f8")),
        ("data", lambda x: x.astype(np.float16)),
    ],
)
def test_a_sparse_matrix_that_leads_elsewhere(saved, tmp_path, part, change):
    _, content, arrays = saved
    name = sparse_operator(content)[part]
    write(tmp_path, content, {**arrays, name: change(arrays[name])})
    with pytest.raises(HardwareCompatibilityError, match="no usable spike graph"):
        HardwareModel.load(tmp_path)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("graph", "timesteps"), -1),
        (("graph", "timesteps"), 0),
        (("graph", "timesteps"), 10**15),
        (("graph", "timesteps"), 3.5),
        (("graph", "timesteps"), True),
        (("graph", "populations", 1, "shape"), [10**9, 10**9]),
        (("graph", "populations", 1, "shape"), [-4, -4]),
        (("graph", "populations", 1, "depth"), 10**15),
        (("graph", "populations", 1, "threshold"), float("inf")),
        (("graph", "populations", 1, "decay"), float("nan")),
        (("graph", "populations", 1, "bias"), "array_0/../x"),
        (("graph", "readout", "shape"), [0]),
        (("graph", "readout", "terms"), []),
        (("graph", "readout", "terms", 0, 0), "input"),
        (("graph", "readout", "terms", 0, 0), "nobody"),
        (("integers", "neurons"), {}),
        (("encoder", "timesteps"), 10**12),
        (("encoder", "code"), "nonsense"),
        (("target",), 7),
        (("details",), []),
        (("placement", "cores", 0), ["a"]),
        (("graph", "projections", 0, "operator", "kind"), "os.system"),
    ],
)
def test_a_description_of_what_cannot_be(saved, tmp_path, where, value):
    _, content, arrays = saved
    content = copy.deepcopy(content)
    node = content
    for key in where[:-1]:
        node = node[key]
    node[where[-1]] = value
    write(tmp_path, content, arrays)
    with pytest.raises(HardwareCompatibilityError, match="no usable spike graph"):
        HardwareModel.load(tmp_path)


def test_integers_out_of_range(saved, tmp_path):
    _, content, arrays = saved
    for key, value in {"dv": 5000, "vth": -1, "bias_exp": 8, "scale": 0.0}.items():
        changed = copy.deepcopy(content)
        next(iter(changed["integers"]["neurons"].values()))[key] = value
        write(tmp_path, changed, arrays)
        with pytest.raises(HardwareCompatibilityError, match=key):
            HardwareModel.load(tmp_path)


def test_integer_weights_that_a_chip_cannot_hold(saved, tmp_path):
    _, content, arrays = saved
    for projection in content["integers"]["projections"]:
        for part in ("weights", "data"):
            name = projection["operator"].get(part)
            if name and arrays[name].dtype == np.int32:
                write(tmp_path, content, {**arrays, name: arrays[name] + 400})
                with pytest.raises(HardwareCompatibilityError, match="weights"):
                    HardwareModel.load(tmp_path)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**16), 10**16),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(-3, 10**6), max_size=4),
    st.just({}),
)
DTYPES = st.sampled_from(["<f8", ">f8", "<f4", "<i4", "<i8", "<u1", "?"])


def leaves(node, where=()):
    """Yield the ways to all that is no container, and to all containers."""
    if where:
        yield where
    children = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in children:
        if isinstance(value, dict | list):
            yield from leaves(value, (*where, key))
        else:
            yield (*where, key)


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_whatever_is_changed_it_is_refused_or_runs(saved, data, tmp_path_factory):
    _, content, arrays = saved
    content, arrays = copy.deepcopy(content), dict(arrays)
    if data.draw(st.booleans(), "json"):
        ways = [way for way in leaves(content) if way[0] not in ("npz_sha256",)]
        where = data.draw(st.sampled_from(ways), "where")
        node = content
        for key in where[:-1]:
            node = node[key]
        node[where[-1]] = data.draw(VALUES, "value")
    else:
        name = data.draw(st.sampled_from(sorted(arrays)), "array")
        array = arrays[name]
        shape = data.draw(st.sampled_from([array.shape, array.shape[::-1], (array.size,)]))
        array = array.reshape(shape).astype(data.draw(DTYPES, "dtype"))
        if array.size:
            at = data.draw(st.integers(0, array.size - 1), "at")
            values = st.floats() if array.dtype.kind == "f" else st.integers(-(2**31), 2**31 - 1)
            array = array.copy()
            with np.errstate(all="ignore"):
                array.flat[at] = np.array(data.draw(values, "number")).astype(array.dtype)
        arrays[name] = array
    folder = tmp_path_factory.mktemp("changed")
    write(folder, content, arrays)
    try:
        loaded = HardwareModel.load(folder)
    except HardwareCompatibilityError:
        return
    finally:
        shutil.rmtree(folder)
    inputs = spikes_for(loaded.graph, 1)
    loaded.graph.outputs({**inputs, **simulate(loaded.graph, inputs)})
    if loaded.integers is not None:
        simulate_integers(loaded.integers, inputs)
