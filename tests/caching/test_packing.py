"""Values as bytes."""

from __future__ import annotations

import pytest

from spikeformer.caching import pack, unpack


@pytest.mark.parametrize(
    "structure",
    ['{"tensor": ["0", "cpu"]}', '{"tensor": []}', '{"list": 3}', "[" * 100_000, '{"dict": [[1]]}'],
)
def test_unpack_refuses_parts_that_do_not_fit(structure):
    with pytest.raises(ValueError, match="not a packed value"):
        unpack(type(pack(1))({}, structure))
