from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_triton_kernels_compile():
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "tests.ops.compile_for_gpu"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["cuda", "hip"]
