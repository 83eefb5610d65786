"""Runs a network in Lava and records every spike.

All neurons stand side by side in the job; `spikeformer.hardware.targets.loihi2.network` makes it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from importlib.metadata import version
from typing import Any

from spikeformer.hardware.targets.exchange import Array, read_job, write_result

from . import python311  # noqa: F401

# isort: split
from lava.magma.compiler.compiler_graphs import find_processes
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2HwCfg, Loihi2SimCfg
from lava.magma.runtime.message_infrastructure import multiprocessing as actors

from .block import build_block, read_block
from .layers import LATE, Layers


class LoudProcess(actors.SystemProcess):
    """Ends the worker where Lava's own would leave the other processes waiting for ever."""

    def run(self) -> None:
        """Run, and show what went wrong."""
        try:
            self._target(*self._args, **self._kwargs)
        except Exception:
            traceback.print_exc()
            os.kill(os.getppid(), signal.SIGTERM)


def execute(arrays: dict[str, Array], settings: dict[str, Any]) -> dict[str, Array]:
    """Return the spikes of all neurons, uint8 (lanes, steps, neurons), or events."""
    if settings["form"] == "hosted":
        # It imports modules that only such a job comes with.
        from .hosted import build_hosted, read_hosted

        _run(build_hosted(arrays, settings), settings, settings["steps"])
        return read_hosted()
    if settings["form"] == "block":
        _run(build_block(arrays, settings), settings, settings["steps"])
        return {"spikes": read_block(settings["lanes"])}
    layers = Layers(arrays, settings, chip=settings["form"] == "chip")
    _run(layers.process, settings, settings["steps"] + LATE)
    return {"spikes": layers.read()}


def _run(process: AbstractProcess, settings: dict[str, Any], steps: int) -> None:
    configuration = Loihi2HwCfg if settings["form"] == "chip" else Loihi2SimCfg
    arithmetic = settings["arithmetic"]
    try:
        process.run(
            condition=RunSteps(num_steps=steps),
            run_cfg=configuration(
                select_tag=arithmetic, exception_proc_model_map=_models(process, arithmetic)
            ),
            # Messages under way: Lava's 64 would take 64 times the memory, and time to fill it.
            compile_config={"pypy_channel_size": 2},
        )
    finally:
        process.stop()


def _models(process: AbstractProcess, arithmetic: str) -> dict[AbstractProcess, type]:
    """Return the models of all processes of ours, for which Lava would import all files here.

    Args:
        process: One of the processes.
        arithmetic: Tag of the models where there are several.
    """
    return {
        each: model
        for each in find_processes(process)
        for model in vars(sys.modules[type(each).__module__]).values()
        if type(each).__module__.startswith(f"{__package__}.")
        and getattr(model, "implements_process", None) is type(each)
        and (not model.tags or arithmetic in model.tags)
    }


def main() -> None:
    """Do the job in the current folder."""
    arrays, settings = read_job()
    began = time.perf_counter()
    actors.SystemProcess = LoudProcess
    found = execute(arrays, settings)
    facts = {"lava": version("lava-nc"), "seconds": time.perf_counter() - began}
    write_result(found, facts)


if __name__ == "__main__":
    main()
