"""A worker and all that it started end with the process that wanted it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.hardware.toolchains import wait_until_gone

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_guard_ends_the_group_with_its_parent(workers, tmp_path, number):
    """Killed without a chance to clean up, or interrupted at the keyboard."""
    (workers / "job.py").write_text(
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "time.sleep(600)\n",
        encoding="utf-8",
    )
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            # A suite in the background ignores interrupts, and so would what it starts.
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "import sys; from pathlib import Path\n"
            "from spikeformer.hardware.targets.toolchain import run_worker\n"
            "run_worker(Path(sys.executable), 'jobs.job', {}, {}, timeout=60, facts=dict)",
        ],
        env=os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.DEVNULL,
    )
    pid = tmp_path / "pid"
    for _ in range(2400):
        if pid.exists() and pid.read_text():
            break
        time.sleep(0.05)
    os.kill(parent.pid, number)
    parent.wait(10)
    assert wait_until_gone(int(pid.read_text()))
    assert not list(temporary.iterdir())
