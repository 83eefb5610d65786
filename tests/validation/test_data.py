from __future__ import annotations

import torch

from spikeformer.data.datasets import TokenBatches
from spikeformer.validation.data import fingerprints


def test_fingerprints_of_equal_samples_are_equal_in_every_batch():
    rows = torch.rand(50, 3, 5)
    alone = torch.cat([fingerprints(row[None]) for row in rows])
    assert torch.equal(fingerprints(rows), alone)
    assert len(alone.unique()) == 50
    changed = rows.clone()
    changed[7, 2, 4] += 1e-6
    assert (fingerprints(changed) != alone).nonzero().flatten().tolist() == [7]
    swapped = rows[:, :, [1, 0, 2, 3, 4]]
    assert not (fingerprints(swapped) == alone).any()


def test_fingerprints_do_not_depend_on_padding():
    data = TokenBatches([[5, 0], [5, 0, 7, 9], [5]], torch.tensor([0, 1, 0]), pad_id=0)
    together = fingerprints(data.__getitems__([0, 1, 2])[0])
    alone = torch.cat([fingerprints(data.__getitems__([i])[0]) for i in range(3)])
    assert torch.equal(together, alone)
    assert len(alone.unique()) == 3


def test_fingerprints_depend_on_every_modality():
    seen, heard = torch.rand(6, 1, 4, 4), 2 * torch.rand(6, 50) - 1
    for named in ({"audio": heard}, {"vision": seen}, {"vision": seen, "audio": heard}):
        whole = fingerprints(named)
        assert len(set(whole.tolist())) == 6
        one = {name: x[2:3] for name, x in named.items()}
        assert torch.equal(fingerprints(one), whole[2:3])
        for name, x in named.items():
            changed = x.clone()
            changed[4] *= 0.999
            differs = fingerprints({**named, name: changed}) != whole
            assert differs.nonzero().flatten().tolist() == [4]
    # Equal values in two modalities do not cancel out.
    twice = {"left": heard, "right": heard}
    assert not torch.equal(
        fingerprints(twice), fingerprints({"left": heard, "right": heard.roll(1, 0)})
    )
