"""What `make mutants` runs for a package; the run itself takes minutes."""

from __future__ import annotations

import re
import sys
import tomllib

import pytest

from tests.commands import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "scripts"))
import mutants


def test_packages_and_modules_have_tests_of_their_own():
    assert mutants.tests_of("spikeformer/ops/lif") == "tests/ops/lif"
    assert mutants.tests_of("spikeformer/runs/layout.py") == "tests/runs/test_layout.py"


@pytest.mark.parametrize(
    ("operator", "tried"),
    [
        ("core/ReplaceBinaryOperator_Add_Sub", True),
        ("core/ReplaceBinaryOperator_Add_Mul", False),
        ("core/ReplaceBinaryOperator_BitOr_Add", False),  # `int | None`
        ("core/ReplaceComparisonOperator_Lt_LtE", True),
        ("core/ReplaceComparisonOperator_LtE_Lt", True),
        ("core/ReplaceComparisonOperator_Lt_Is", False),
        ("core/NumberReplacer", True),
        ("core/AddNot", True),
    ],
)
def test_operators_that_are_tried(operator, tried):
    """The patterns, joined and matched as Cosmic Ray does it."""
    config = tomllib.loads(mutants.configuration("spikeformer/runs", "pytest 'a b'", 30))
    filters = config["cosmic-ray"]["filters"]["operators-filter"]
    left_out = re.compile("|".join(f"(:?{each})" for each in filters["exclude-operators"]))
    assert (left_out.match(operator) is None) == tried
    assert config["cosmic-ray"]["test-command"] == "pytest 'a b'"


@pytest.mark.parametrize("package", [[], ["metrics"], ["spikeformer/absent"], ["tests/metrics"]])
def test_other_packages_are_refused(package):
    with pytest.raises(SystemExit, match="PACKAGE=spikeformer/metrics"):
        mutants.main(package)
