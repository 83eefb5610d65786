from __future__ import annotations

import logging

from spikeformer.cross_platform import (
    CrossPlatformManager,
    check_platform_compatibility,
    optimize_config_for_platform,
)
from tests.cross_platform.trees import platform


def test_the_manager_returns_a_copy_and_logs_why(caplog):
    manager, config = CrossPlatformManager(platform()), {"device": "auto", "threshold": 1.0}
    with caplog.at_level(logging.INFO):
        assert manager.get_optimal_config(config) == {"device": "cpu", "threshold": 1.0}
    assert config["device"] == "auto"
    assert "device=cpu: there is no GPU" in caplog.text


def test_optimize_config_for_platform_on_this_machine():
    found = optimize_config_for_platform({"num_workers": "auto", "x": 3})
    assert found["x"] == 3
    assert 1 <= found["num_workers"] <= 8


def test_check_platform_compatibility_of_this_machine():
    assert check_platform_compatibility({"min_cores": 1, "packages": ["torch"]}) == (True, [])
    assert check_platform_compatibility({"min_cores": 10**6})[0] is False
