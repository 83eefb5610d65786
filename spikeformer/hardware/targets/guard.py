"""Runs a command; when whoever holds this process's standard input goes, so does the command.

The parent starts this in a process group of its own, with its private folder and the command as
arguments. Should the parent be killed without a chance to clean up, the pipe closes, and the folder
and the whole group go.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading


def _end_with_parent(folder: str) -> None:
    os.read(0, 1)
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    folder, *command = sys.argv[1:]
    threading.Thread(target=_end_with_parent, args=(folder,), daemon=True).start()
    status = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
    sys.exit(status if status >= 0 else 128 - status)
