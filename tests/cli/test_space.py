from __future__ import annotations

import pytest

pytest.importorskip("optuna", reason="the extra sweeps is not installed")
from optuna.distributions import CategoricalDistribution as Choice
from optuna.distributions import FloatDistribution as Float
from optuna.distributions import IntDistribution as Int

from spikeformer.cli.space import grid, search_space
from spikeformer.error_handling import ConfigurationError


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("x=choice(2, 4, 6)", Choice([2, 4, 6])),
        ("x=lif,plif", Choice(["lif", "plif"])),
        ("x=choice(true, 1.5)", Choice([True, 1.5])),
        ("x=choice([1, 2], [3])", Choice(["[1,2]", "[3]"])),
        ("x=range(0, 5)", Int(0, 4)),
        ("x=range(2, 11, 3)", Int(2, 8, step=3)),
        ("x=range(0, 1, 0.25)", Float(0, 0.75, step=0.25)),
        ("x=shuffle(range(0, 2))", {Choice([0, 1]), Choice([1, 0])}),
        ("x=int(interval(1, 9))", Int(1, 9)),
        ("x=interval(0.0, 2)", Float(0, 2)),
        ("x=tag(log, int(interval(1, 9)))", Int(1, 9, log=True)),
        ("x=tag(log, interval(1e-4, 0.1))", Float(1e-4, 0.1, log=True)),
    ],
)
def test_search_space_reads_hydras_sweeps(override, expected):
    space, fixed = search_space(["seed=3", override])
    assert fixed == {"seed": "3"}
    assert space["x"] == expected or space["x"] in (expected if isinstance(expected, set) else ())


def test_the_last_override_of_a_key_counts():
    assert search_space(["x=interval(0, 1)", "x=3"]) == ({}, {"x": "3"})
    space, fixed = search_space(["x=3", "x=choice(1, 2)"])
    assert (list(space), fixed) == (["x"], {})


def test_keys_keep_what_hydra_needs_to_add_them():
    assert list(search_space(["+a.b@c=choice(x, y)", "~d=1"])[0]) == ["+a.b@c"]


def test_grid_lists_all_values():
    space, _ = search_space(["a=choice(x, y)", "b=range(0, 6, 2)", "c=range(0, 1, 0.5)"])
    assert grid(space) == {"a": ["x", "y"], "b": [0, 2, 4], "c": [0.0, 0.5]}
    for override in ("d=interval(0, 1.5)", "d=tag(log, int(interval(1, 100)))"):
        with pytest.raises(ConfigurationError, match="d has an interval"):
            grid(search_space([override])[0])
