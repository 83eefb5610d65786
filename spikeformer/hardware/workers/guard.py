"""Runs a command; when whoever holds this process's standard input goes, so does the command.

The parent starts this in a process group of its own. Should the parent be killed without a chance
to clean up, the pipe closes and the whole group ends itself.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def _end_with_parent() -> None:
    os.read(0, 1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    status = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, check=False).returncode
    sys.exit(status if status >= 0 else 128 - status)
