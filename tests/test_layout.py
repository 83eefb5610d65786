"""The tests lie where the package's modules lie, so that a module's test is found by its name."""

from __future__ import annotations

from fnmatch import fnmatch

import pytest

from tests.commands import REPOSITORY

PACKAGE, TESTS = REPOSITORY / "spikeformer", REPOSITORY / "tests"
OF_NO_PACKAGE = {"bench", "configs", "docs", "integration", "scripts"}
"""Folders of tests of what lies outside the package, or of many of its parts at once."""

ELSEWHERE = {
    "cli/parser.py": ("tests/cli/test_commands.py", "the help of every command"),
    "__main__.py": ("tests/test_wheel.py", "it is run as people run it"),
    "config/schema/*.py": (
        "tests/config/test_schema.py",
        "every schema is compared with the constructor that it describes",
    ),
    "conversion/evaluation/figures.py": (
        "tests/{folder}/test_evaluation.py",
        "records, read from what fills them",
    ),
    "hardware/ir/cores.py": ("tests/{folder}/test_placement.py", "records, as above"),
    "hardware/records.py": ("tests/{folder}/test_measurement.py", "records, as above"),
    "hardware/targets/schemas.py": ("tests/config/test_schema.py", "it registers schemas"),
    "hardware/targets/*/schema.py": ("tests/config/test_schema.py", "as all schemas"),
    "hardware/targets/*/prices.py": (
        "tests/profiling/pricing/test_chips.py",
        "published figures, in estimates by hand",
    ),
    "hardware/targets/*/worker/*.py": (
        "tests/{above}/test_target.py",
        "it runs in the toolchain's environment alone, which the target starts",
    ),
    "ops/*/cpu.py": ("tests/{folder}/test_op.py", "every backend is compared with the reference"),
    "ops/*/triton.py": ("tests/{folder}/test_op.py", "as the CPU's"),
    "ops/*/*_kernels.py": ("tests/{folder}/test_kernels.py", "as the CPU's"),
    "ops/spike_attention/composed.py": (
        "tests/{folder}/test_kernels.py",
        "the part of its kernels that their devices share",
    ),
    "ops/spike_linear/reference.py": ("tests/{folder}/test_op.py", "torch's own linear map"),
    "pipeline/stages/finetune.py": (
        "tests/hardware/test_target.py",
        "a training, in the one run that goes through every stage",
    ),
}
"""Modules whose test has another name: where it is, and why one file tests them together."""


MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
MODULES = [module for module in MODULES if module.name != "__init__.py"]
UNNAMED = [
    module for module in MODULES if not (TESTS / module.with_name(f"test_{module.name}")).is_file()
]


@pytest.mark.parametrize("module", UNNAMED, ids=str)
def test_every_module_has_a_test_of_its_name_or_a_reason(module):
    places = [place for pattern, (place, _) in ELSEWHERE.items() if fnmatch(str(module), pattern)]
    assert places, f"no tests/{module.with_name(f'test_{module.name}')}, and no reason in ELSEWHERE"
    for place in places:
        named = place.format(folder=module.parent, above=module.parent.parent)
        assert (REPOSITORY / named).is_file()


@pytest.mark.parametrize("pattern", ELSEWHERE)
def test_every_reason_is_of_a_module_without_a_test_of_its_name(pattern):
    assert any(fnmatch(str(module), pattern) for module in UNNAMED)


FOLDERS = {str(path.parent.relative_to(TESTS)) for path in TESTS.rglob("test_*.py")} - {"."}


@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_every_folder_of_tests_is_that_of_a_part(folder):
    assert folder.split("/")[0] in OF_NO_PACKAGE or (PACKAGE / folder).is_dir()
