"""The page on security names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_security_page_names_tests_that_exist():
    page = (ROOT / "docs/concepts/security.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[^`]+)`", page)
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).is_file()] == []
