from __future__ import annotations

import sys
import textwrap
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from spikeformer.cross_platform import FOLDER_VARIABLE
from spikeformer.error_handling import ArgumentError, HardwareCompatibilityError, ToolchainError
from spikeformer.hardware import Loihi2Deployer, SpiNNakerDeployer
from spikeformer.hardware.targets.toolchain import (
    WorkerResult,
    find_toolchain,
    read_result,
    run_worker,
)
from tests.hardware.toolchains import wait_until_gone

pytestmark = pytest.mark.slow
EXCHANGE = "from spikeformer.hardware.targets.exchange import read_job, write_result\n"


def run(workers: Path, code: str, timeout: float = 20, **settings: object) -> WorkerResult:
    head = "import os, subprocess, sys, time\n" + EXCHANGE
    (workers / "job.py").write_text(head + textwrap.dedent(code), encoding="utf-8")
    arrays = {"x": np.arange(3)}
    python = Path(sys.executable)
    return run_worker(python, "jobs.job", arrays, settings, timeout=timeout, facts=dict)


CHILD = """
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)
"""


def child_of(text: str) -> int:
    return int(text.partition("child ")[2].split()[0])


def test_arrays_and_settings_go_in_and_come_back(workers):
    result = run(
        workers,
        """
        arrays, settings = read_job()
        print("hello")
        write_result({"twice": arrays["x"] * 2}, {"seen": settings})
        """,
        number=3,
    )
    np.testing.assert_array_equal(result.arrays["twice"], [0, 2, 4])
    assert result.facts == {"seen": {"number": 3}}
    assert result.output == "hello"


def test_worker_has_a_home_and_a_folder_of_its_own(workers, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("SECRET", "value")
    result = run(
        workers,
        """
        from pathlib import Path
        Path.home().joinpath(".config").mkdir()
        Path(os.environ["XDG_CONFIG_HOME"]).joinpath("written").touch()
        facts = {"home": str(Path.home()), "cwd": os.getcwd(), "env": dict(os.environ)}
        write_result({}, facts)
        """,
    )
    home, cwd = Path(result.facts["home"]), Path(result.facts["cwd"])
    assert home.parent == cwd
    assert not cwd.exists()
    assert {"SECRET", "PYTHONPATH"}.isdisjoint(result.facts["env"])


def test_hanging_worker_is_ended_with_its_children(workers):
    with pytest.raises(ToolchainError, match=r"limit of 6 s") as caught:
        run(workers, CHILD + "time.sleep(600)", timeout=6)
    assert wait_until_gone(child_of(str(caught.value)))


def test_worker_that_ignores_the_request_to_end_is_killed(workers):
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    with pytest.raises(ToolchainError, match="limit of 6 s") as caught:
        run(workers, code + CHILD + "time.sleep(600)", timeout=6)
    assert wait_until_gone(child_of(str(caught.value)))


def test_dead_worker_shows_its_last_lines(workers):
    with pytest.raises(ToolchainError, match=r"(?s)status 1.*ZeroDivisionError"):
        run(workers, "1 / 0")


def test_killed_worker_shows_the_signal(workers):
    with pytest.raises(ToolchainError, match="ended with status 137"):
        run(workers, "os.kill(os.getpid(), 9)")


def test_flood_of_output_is_read_and_cut(workers):
    with pytest.raises(ToolchainError) as caught:
        run(
            workers,
            """
            for _ in range(300):
                sys.stdout.write("flood " * 20000 + "\\n")
            sys.exit("the end")
            """,
        )
    assert str(caught.value).endswith("the end")
    assert len(str(caught.value)) < 12_000


def test_surviving_grandchild_is_ended_and_the_result_kept(workers):
    result = run(workers, CHILD + "write_result({}, {})")
    assert wait_until_gone(child_of(result.output))


def test_missing_result_is_refused(workers):
    with pytest.raises(ToolchainError, match="ended without a result"):
        run(workers, "pass")


@pytest.mark.parametrize("size", [0, 10, 200])
def test_truncated_result_is_refused(workers, size):
    code = f"""
    write_result(read_job()[0], {{}})
    os.truncate("result.npz", {size})
    """
    with pytest.raises(ToolchainError, match="damaged result"):
        run(workers, code)


def test_pickled_objects_are_refused(workers):
    code = "import numpy as np; write_result({'x': np.array([{}], dtype=object)}, {})"
    with pytest.raises(ToolchainError, match="damaged result"):
        run(workers, code)


def deep(folder):
    (folder / "result.json").write_text("[" * 100_000)


def not_a_dict(folder):
    (folder / "result.json").write_text("[]")


def bare_npy(folder):
    np.save(folder / "result.npy", np.arange(3))
    (folder / "result.npy").replace(folder / "result.npz")


def corrupt_deflate(folder):
    path = folder / "result.npz"
    np.savez_compressed(path, x=np.random.default_rng(0).integers(0, 9, 5000))
    content = bytearray(path.read_bytes())
    content[200:400] = b"\xff" * 200
    path.write_bytes(bytes(content))


def absurd_shape(folder):
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    header += " " * (63 - (len(header) + 10) % 64) + "\n"
    member = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
    with zipfile.ZipFile(folder / "result.npz", "w") as archive:
        archive.writestr("x.npy", member)


@pytest.mark.parametrize("damage", [deep, not_a_dict, bare_npy, corrupt_deflate, absurd_shape])
def test_read_result_refuses_what_no_worker_leaves(tmp_path, damage):
    np.savez(tmp_path / "result.npz", x=np.arange(3))
    (tmp_path / "result.json").write_text("{}")
    assert read_result("mine", tmp_path, "", dict).arrays["x"].tolist() == [0, 1, 2]
    damage(tmp_path)
    with pytest.raises(ToolchainError, match=r"'mine' left a damaged result.*It printed nothing"):
        read_result("mine", tmp_path, "", dict)


@pytest.mark.parametrize(
    "array", [np.zeros((2, 4)), np.full((2, 3), 2), np.full((2, 3), -1), np.zeros((2, 3)), None]
)
def test_spikes_are_zeros_and_ones_of_the_shape_asked_for(array):
    good = WorkerResult("mine", {"s": np.ones((2, 3), np.uint8)}, {}, "")
    assert good.spikes("s", (2, 3)).all()
    bad = WorkerResult("mine", {} if array is None else {"s": array}, {}, "")
    with pytest.raises(ToolchainError, match="'mine' left a damaged result"):
        bad.spikes("s", (2, 3))


def test_limit_is_positive(workers):
    with pytest.raises(ArgumentError, match="timeout"):
        run(workers, "pass", timeout=0)


def test_two_at_once_do_not_disturb_each_other(workers):
    found: dict[int, WorkerResult] = {}
    code = """
    arrays, settings = read_job()
    time.sleep(0.3)
    open("mine", "x").close()
    write_result({"x": arrays["x"]}, settings | {"cwd": os.getcwd()})
    """
    (workers / "job.py").write_text(
        "import os, time\n" + EXCHANGE + textwrap.dedent(code),
        encoding="utf-8",
    )

    def call(number: int) -> None:
        found[number] = run_worker(
            Path(sys.executable),
            "jobs.job",
            {"x": np.full(4, number)},
            {"number": number},
            timeout=20,
            facts=dict,
        )

    threads = [threading.Thread(target=call, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[n].facts["number"] for n in range(2)] == [0, 1]
    assert [found[n].arrays["x"][0] for n in range(2)] == [0, 1]
    assert found[0].facts["cwd"] != found[1].facts["cwd"]


def test_missing_toolchain_names_the_command(monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    for deployer in (Loihi2Deployer(), SpiNNakerDeployer()):
        with pytest.raises(HardwareCompatibilityError, match=r"(?s)looked in.*make toolchains"):
            deployer.check()


def test_half_installed_toolchain_is_missing(monkeypatch, tmp_path):
    (tmp_path / "loihi2" / "bin").mkdir(parents=True)
    (tmp_path / "loihi2" / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(HardwareCompatibilityError, match="not installed"):
        find_toolchain("loihi2")
    (tmp_path / "loihi2" / ".installed").touch()
    assert find_toolchain("loihi2") == tmp_path / "loihi2" / "bin" / "python"


def test_toolchain_of_the_current_folder_is_found(monkeypatch, tmp_path):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    environment = tmp_path / ".toolchains" / "mine"
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(sys.executable)
    (environment / ".installed").touch()
    assert find_toolchain("mine") == environment / "bin" / "python"


def test_given_interpreter_is_taken_as_it_is():
    python = Path(sys.executable)
    assert find_toolchain("loihi2", sys.executable) == python
    Loihi2Deployer(python=sys.executable).check()


def test_given_interpreter_must_be_there(tmp_path):
    with pytest.raises(HardwareCompatibilityError, match="nothing there can be run"):
        find_toolchain("loihi2", tmp_path / "python")
