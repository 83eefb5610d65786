"""What a worker is given and what it gives back: arrays and JSON, nothing pickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

Array = npt.NDArray[Any]


def read_job() -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the arrays and the settings of this worker's job."""
    with np.load("job.npz", allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return arrays, json.loads(Path("job.json").read_text(encoding="utf-8"))


def write_result(arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> None:
    """Write what the worker found; the JSON comes last and says that all is there."""
    np.savez("result.npz", **arrays)  # type: ignore[arg-type]
    Path(".result.json").write_text(json.dumps(facts), encoding="utf-8")
    Path(".result.json").replace("result.json")


def pack_sparse(name: str, matrix: sparse.csr_array) -> dict[str, Array]:
    """Return a sparse matrix as arrays of a job."""
    return {
        f"{name}/data": matrix.data,
        # Half of what scipy takes; no matrix here comes near their end.
        f"{name}/indices": matrix.indices.astype(np.int32, copy=False),
        f"{name}/indptr": matrix.indptr.astype(np.int32, copy=False),
        f"{name}/shape": np.array(matrix.shape),
    }


def unpack_sparse(name: str, arrays: Mapping[str, Array]) -> sparse.csr_matrix:
    """Return the sparse matrix that `pack_sparse` took apart, in the class that Lava knows."""
    parts = tuple(arrays[f"{name}/{part}"] for part in ("data", "indices", "indptr"))
    return sparse.csr_matrix(parts, shape=tuple(arrays[f"{name}/shape"]))
