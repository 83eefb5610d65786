"""The table of layers and targets says what happens when one tries."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("nir", reason="the extra `nir` is not installed")

import layers_by_target as script


def test_the_page_is_what_trying_gives():
    torch.manual_seed(0)
    found = script.refusals()
    assert script.page(found) == script.PAGE.read_text(encoding="utf-8")
    assert set(found["Neurons"]["LIF, hard reset (`lif_hard`)"].values()) == {None}
