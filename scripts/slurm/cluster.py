"""A Slurm of one node, from programs that lie unpacked in a folder."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from string import Template
from types import TracebackType

TEMPLATE = Path(__file__).with_name("slurm.conf.template")
WRAPPERS = Path(__file__).with_name("bin")
INSTALLED = Path(__file__).parents[2] / ".toolchains" / "slurm"
"""Where `make slurm-demo` unpacks Debian's packages."""
PATIENCE_S = 30


class Cluster:
    """Controller and node daemon, alive inside a `with` block.

    Args:
        state: Folder for configuration, spool and logs; emptied at the start.
        installed: Root below which the packages were unpacked.

    Attributes:
        environment: What `sbatch`, `squeue` and programs that call them need to find the cluster.
    """

    def __init__(self, state: Path, installed: Path = INSTALLED) -> None:
        self.state, self.installed = state.resolve(), installed.resolve()
        (self.plugins,) = self.installed.glob("usr/lib/*/slurm-wlm")
        libraries = f"{self.plugins}:{self.plugins.parent}"
        self.environment = {
            **os.environ,
            "PATH": f"{WRAPPERS}:{self.installed / 'usr' / 'bin'}:{os.environ['PATH']}",
            "SLURM_SACCT": str(self.installed / "usr" / "bin" / "sacct"),
            "LD_LIBRARY_PATH": f"{libraries}:{os.environ.get('LD_LIBRARY_PATH', '')}".rstrip(":"),
            "SLURM_CONF": str(self.state / "slurm.conf"),
        }
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Cluster:
        if self.state.exists():
            if not (self.state / "slurm.conf").is_file() and any(self.state.iterdir()):
                raise FileExistsError(f"{self.state} holds something else than a cluster's state")
            shutil.rmtree(self.state)
        for folder in ("control", "node"):
            (self.state / folder).mkdir(parents=True)
        (self.state / "slurm.conf").write_text(self._configuration())
        programs = self.installed / "usr" / "sbin"
        try:
            self._start(programs / "slurmctld-wlm", "-D")
            self._start(programs / "slurmd-wlm", "-D", "-d", str(programs / "slurmstepd-wlm"))
            self._wait_for_node()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def run(self, *command: str) -> str:
        """Return what one of Slurm's commands prints.

        Raises:
            CalledProcessError: It failed.
        """
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout.strip()

    def wait_until_idle(self) -> None:
        """Wait for the queue to be empty, as jobs end a little later than their results are there.

        Raises:
            RuntimeError: It is not after half a minute.
        """
        deadline = time.monotonic() + PATIENCE_S
        while self.run("squeue", "--noheader"):
            if time.monotonic() > deadline:
                raise RuntimeError(f"Jobs did not end:\n{self.run('squeue')}")
            time.sleep(0.2)

    def _configuration(self) -> str:
        control_port, node_port = _free_ports(2)
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return Template(TEMPLATE.read_text()).substitute(
            host=socket.gethostname().partition(".")[0],
            user=getpass.getuser(),
            control_port=control_port,
            node_port=node_port,
            plugins=self.plugins,
            state=self.state,
            cpus=os.cpu_count(),
            memory_mib=memory * 9 // 10 // 2**20,
        )

    def _start(self, *command: object) -> None:
        with (self.state / "daemons.log").open("ab") as log:
            daemon = subprocess.Popen(
                list(map(str, command)), env=self.environment, stdout=log, stderr=log
            )
        self._daemons.append(daemon)

    def _wait_for_node(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if any(daemon.poll() is not None for daemon in self._daemons):
                break
            state = subprocess.run(
                ["sinfo", "--noheader", "--format=%T"],
                env=self.environment,
                capture_output=True,
                text=True,
            )
            if state.stdout.strip() == "idle":
                return
            time.sleep(0.2)
        log = (self.state / "daemons.log").read_text(errors="replace")
        raise RuntimeError(f"Slurm did not start within {PATIENCE_S} s:\n{log[-2000:]}")

    def _stop(self) -> None:
        """End jobs and daemons, the polite way first."""
        if all(daemon.poll() is None for daemon in self._daemons):
            user = getpass.getuser()
            subprocess.run(["scancel", "--user", user], env=self.environment, capture_output=True)
            with contextlib.suppress(RuntimeError, subprocess.SubprocessError):
                self.wait_until_idle()
            subprocess.run(["scontrol", "shutdown"], env=self.environment, capture_output=True)
        for daemon in self._daemons:
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._daemons.clear()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
