"""Exchange networks with other libraries through NIR files, and compare every spike.

    make bench-baselines toolchains
    python scripts/bench/nir_files.py

Each library writes networks of two layers in its own environment (`.bench/NAME`), which are read
and run here and go on to the chips' simulators; and two networks of two layers and a spiking
transformer written here are read and run there. Both run on the same spikes. Writes
`docs/benchmarks/nir.json` and `nir.md`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

REPOSITORY = Path(__file__).resolve().parents[2]
RESULT = REPOSITORY / "docs" / "benchmarks" / "nir.json"
INPUTS, HIDDEN, OUTPUTS, T, BATCH = 20, 32, 10, 16, 16
READ_WITH: dict[str, dict[str, Any]] = {
    "norse": {"dt": 1e-6},
    "snntorch": {"dt": 1e-4},
    "sinabs": {"dt": 1.0, "method": "exact"},
    "rockpool": {"dt": 1e-3, "method": "exact", "reset": "subtract"},
}
"""How files of each library's are read here: it writes time constants in units of its own."""
WRITTEN_WITH = {"norse": 1e-3, "snntorch": 1e-4, "sinabs": 1.0, "rockpool": 1e-3}
"""Steps in seconds that each library takes with files from elsewhere."""
WRITES = {
    "norse": ("lif", "cuba"),
    "snntorch": ("lif", "cuba", "recurrent"),
    "sinabs": ("lif",),
    "rockpool": ("cuba",),
}
"""Networks that each library writes."""
OURS = ("lif", "cuba", "transformer")
CHIPS = {"Loihi 2": "Loihi2Deployer", "SpiNNaker": "SpiNNakerDeployer", "SANA-FE": "SanafeDeployer"}
REMARKS = {
    "norse": "writes time constants in steps of 1 ms: read with `dt=1e-6`; holds them in float32, "
    "where a gate's count that equals its threshold may fall to either side; leaves the `w_in` of "
    "its `LIFCell` at 1, corrected to `tau_syn / dt`",
    "snntorch": "steps of 0.1 ms; writes a file only if parameters have a value for each neuron; "
    "its recurrent layers reset a step late and lose what arrives then, which no file says; does "
    "not flatten images as `Flatten` says",
    "sinabs": "steps of 1, membranes that decay by exp(-dt / tau); does not read files of `nir` "
    "1.0.5 and later, and makes neurons that fire several times a step and reset by subtraction",
    "rockpool": "exact decays a and b of current and membrane, reset by subtraction; its `w_in` of "
    "1 and `r` of b tau_mem / dt are corrected to a / (1 - a) and 1 / (1 - b)",
}


def spikes() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(BATCH, T, INPUTS, generator=generator) < 0.4).float()


def write_norse(path: Path, kind: str) -> Tensor:
    import nir
    import norse.torch as norse

    def layer(size: int) -> nn.Module:
        rate, zeros, threshold = (torch.full((size,), x) for x in (400.0, 0.0, 0.2))
        if kind == "cuba":
            names = ("tau_syn_inv", "tau_mem_inv", "v_leak", "v_th", "v_reset")
            values = (rate, rate, zeros, threshold, zeros)
            return norse.LIFCell(norse.LIFParameters(**dict(zip(names, values, strict=True))))
        return norse.LIFBoxCell(norse.LIFBoxParameters(rate, zeros, threshold, zeros))

    net = norse.SequentialState(
        nn.Linear(INPUTS, HIDDEN), layer(HIDDEN), nn.Linear(HIDDEN, OUTPUTS), layer(OUTPUTS)
    )
    nir.write(path, norse.to_nir(net, torch.ones(1, INPUTS)))
    return _stepwise(net)


def write_snntorch(path: Path, kind: str) -> Tensor:
    import nir
    import snntorch
    from snntorch.export_nir import export_to_nir

    def layer(size: int) -> nn.Module:
        alpha, beta, threshold = (torch.full((size,), x) for x in (0.7, 0.9, 0.5))
        settings = {"reset_mechanism": "zero", "init_hidden": True}
        if kind == "lif":
            return snntorch.Leaky(beta, threshold, **settings)
        if kind == "recurrent":
            settings["linear_features"] = size
            return snntorch.RSynaptic(alpha, beta, threshold=threshold, **settings)
        return snntorch.Synaptic(alpha, beta, threshold, reset_delay=False, **settings)

    net = nn.Sequential(
        nn.Linear(INPUTS, HIDDEN), layer(HIDDEN), nn.Linear(HIDDEN, OUTPUTS), layer(OUTPUTS)
    )
    found = torch.stack([net(frame) for frame in spikes().unbind(1)], dim=1)
    nir.write(path, export_to_nir(net, torch.ones(INPUTS)))
    return found


def write_sinabs(path: Path, kind: str) -> Tensor:
    import nir
    import sinabs
    import sinabs.layers as layers
    from sinabs.nir import to_nir

    hard = {
        "spike_fn": sinabs.activation.SingleSpike,
        "reset_fn": sinabs.activation.MembraneReset(0.0),
    }
    net = nn.Sequential(
        nn.Linear(INPUTS, HIDDEN),
        layers.IAF(spike_threshold=torch.tensor(0.5), **hard),
        nn.Linear(HIDDEN, OUTPUTS),
        layers.LIF(torch.tensor(5.0), spike_threshold=torch.tensor(0.1), norm_input=True, **hard),
    )
    found = net(spikes())
    nir.write(path, to_nir(net, torch.ones(1, T, INPUTS)))
    return found


def write_rockpool(path: Path, kind: str) -> Tensor:
    import nir
    from rockpool.nn.combinators import Sequential
    from rockpool.nn.modules import LIFTorch, LinearTorch
    from rockpool.nn.modules.torch.nir import to_nir

    def layer(size: int) -> Any:
        constants = {"tau_mem": torch.tensor(0.005), "tau_syn": torch.tensor(0.002)}
        threshold, one = torch.full((size,), 0.6), torch.tensor(1.0)
        return LIFTorch(size, threshold=threshold, dt=1e-3, max_spikes_per_dt=one, **constants)

    def weights(into: int, out: int) -> Any:
        return LinearTorch((into, out), has_bias=False)

    parts = weights(INPUTS, HIDDEN), layer(HIDDEN), weights(HIDDEN, OUTPUTS), layer(OUTPUTS)
    net = Sequential(*parts)
    found, _, _ = net(spikes())
    nir.write(path, to_nir(net, torch.ones(1, INPUTS)))
    return found


def read_norse(path: Path, frames: Tensor) -> Tensor:
    import nir
    import nirtorch
    from norse.torch.utils.import_nir import _import_norse_module as made

    # nirtorch 2.6 loses the bias of an affine node and swaps a convolution's channels, so Norse
    # makes these too; both count a sample's axes with the batch.
    kinds = (nir.LIF, nir.CubaLIF, nir.Affine, nir.Conv2d)
    net = nirtorch.nir_to_torch(
        nir.read(path), {**dict.fromkeys(kinds, made), nir.Flatten: lambda node: nn.Flatten()}
    )
    return _stepwise(net, frames)


def read_snntorch(path: Path, frames: Tensor) -> Tensor:
    import nir
    from snntorch.import_nir import import_from_nir

    net = import_from_nir(nir.read(path))
    return torch.stack([_first(net(frame)) for frame in frames.unbind(1)], dim=1)


def read_sinabs(path: Path, frames: Tensor) -> Tensor:
    import nir
    from sinabs.nir import from_nir

    net = from_nir(nir.read(path), batch_size=len(frames))
    return _first(net(frames.flatten(0, 1))).unflatten(0, (-1, T))


def read_rockpool(path: Path, frames: Tensor) -> Tensor:
    from rockpool.nn.modules.torch.nir import from_nir

    return _first(from_nir(path)(frames))


def _first(found: Any) -> Tensor:
    """Return the output that may come with states."""
    return found[0] if isinstance(found, tuple) else found


def _stepwise(net: Callable[..., Any], frames: Tensor | None = None) -> Tensor:
    outputs, state = [], None
    for frame in (spikes() if frames is None else frames).unbind(1):
        output, state = net(frame, *([] if state is None else [state]))
        outputs.append(output)
    return torch.stack(outputs, dim=1)


def work(library: str, folder: Path) -> None:
    """In a library's environment: write a file and read those of ours."""
    torch.manual_seed(0)
    found: dict[str, Any] = {}
    with torch.no_grad():
        for kind in WRITES[library]:
            written = globals()[f"write_{library}"](folder / f"their_{kind}.nir", kind)
            found[f"written_{kind}"] = written.numpy()
        for name in OURS:
            frames = torch.from_numpy(np.load(folder / f"{name}.npy"))
            try:
                read = globals()[f"read_{library}"](folder / f"{name}.nir", frames)
                found[name] = read.numpy()
            except Exception as error:
                print(json.dumps({name: f"{type(error).__name__}: {error}"[:200]}))
    np.savez(folder / "found.npz", **found)


def ours(folder: Path, dt: float) -> dict[str, Tensor]:
    """Write two networks and a spiking transformer; return their outputs averaged over time."""
    from spikeformer.encoding import EventCoding
    from spikeformer.hardware import export_nir, lower
    from spikeformer.models import ClassificationHead, SpikingNetwork, SpikingViT
    from spikeformer.neurons import CubaLifNeuron, LifNeuron

    torch.manual_seed(0)
    hard = partial(LifNeuron, reset="zero", tau_mem=2.0)
    lasting = partial(CubaLifNeuron, reset="zero", tau_mem=2.0, tau_syn=3.0)

    def layers(neuron: Any, scale: float) -> nn.Module:
        return nn.Sequential(
            EventCoding(T),
            nn.Linear(INPUTS, HIDDEN),
            neuron(threshold=0.5 * scale),
            nn.Linear(HIDDEN, OUTPUTS),
            neuron(threshold=0.4 * scale),
        )

    vit = SpikingViT(
        1, 6, d_model=8, nhead=2, num_layers=1, timesteps=T, neuron=hard, stem_strides=(1, 2)
    )
    transformer = SpikingNetwork(vit, ClassificationHead(8, OUTPUTS))
    images = torch.rand(BATCH, 1, 6, 6)
    for _ in range(20):
        transformer(images)  # settle the batch norms, or hardly anything fires
    samples = {
        "lif": (layers(hard, 1.0), spikes(), spikes()),
        "cuba": (layers(lasting, 2.0), spikes(), spikes()),
        "transformer": (transformer, images, images[:, None].expand(-1, T, -1, -1, -1)),
    }
    outputs = {}
    for name, (net, inputs, frames) in samples.items():
        export_nir(lower(net, inputs.shape[1:]).graph, folder / f"{name}.nir", dt=dt)
        np.save(folder / f"{name}.npy", frames.numpy())
        outputs[name] = net.eval()(inputs).mean(1)
    return outputs


def correct(library: str, path: Path) -> None:
    """Put the gains of currents into a file that leaves them out."""
    import nir

    dt = READ_WITH[library]["dt"]
    graph = nir.read(path, type_check=False)
    for node in graph.nodes.values():
        if not isinstance(node, nir.CubaLIF):
            continue
        if library == "norse":
            node.w_in = node.tau_syn / dt
        else:
            node.w_in = 1 / np.expm1(dt / node.tau_syn.astype(np.float64))
            node.r = -1 / np.expm1(-dt / node.tau_mem.astype(np.float64))
    nir.write(path, graph)


def on_chips(net: nn.Module) -> dict[str, str]:
    """Return how many spikes of a network differ in the simulator of each chip, or why none do."""
    from spikeformer import hardware
    from spikeformer.error_handling import HardwareCompatibilityError
    from spikeformer.hardware import compare, record_reference, reference_spikes

    reference = record_reference(net, spikes())
    found = {}
    for chip, deployer in CHIPS.items():
        try:
            with getattr(hardware, deployer)().deploy(net) as model:
                graph = model.compiled.graph
                fired = model.execute_float(reference.inputs)
                comparison = compare(graph, reference_spikes(graph, reference), fired)
                found[chip] = f"{comparison.mismatches} of {comparison.compared:,}"
        except HardwareCompatibilityError as error:
            found[chip] = str(error)
    return found


def exchange(library: str) -> dict[str, Any]:
    """Exchange files with one library."""
    from spikeformer.encoding import EventCoding
    from spikeformer.hardware import import_nir

    python = REPOSITORY / ".bench" / library / "bin" / "python"
    with tempfile.TemporaryDirectory() as name, torch.no_grad():
        folder = Path(name)
        expected = ours(folder, WRITTEN_WITH[library])
        command = [str(python), __file__, "--worker", library, "--folder", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return {"error": done.stderr.strip().splitlines()[-1]}
        theirs = dict(np.load(folder / "found.npz"))
        errors = [json.loads(x) for x in done.stdout.splitlines() if x.startswith('{"')]
        read = {}
        for kind in WRITES[library]:
            path, written = folder / f"their_{kind}.nir", theirs[f"written_{kind}"]
            if kind == "cuba" and library in ("norse", "rockpool"):
                correct(library, path)
            settings = READ_WITH[library]
            network = import_nir(path, EventCoding(T), **settings)
            hard = import_nir(path, EventCoding(T), **settings | {"reset": "zero"})
            here = network(spikes()).numpy().reshape(written.shape)
            read[kind] = {
                "spikes": int(written.sum()),
                "compared": here.size,
                "mismatches": int((here != written).sum()),
                "chips": on_chips(hard),
            }
    found: dict[str, Any] = {"read": read}
    for net, outputs in expected.items():
        if net in theirs:
            there = theirs[net].mean(axis=1)
            found[net] = float(np.abs(there - outputs.numpy()).max())
    for error in errors:
        found |= error
    return found


HEAD = """# NIR files

Made by `python scripts/bench/nir_files.py`. `lif` and `cuba` are networks of two layers of such
neurons, sinabs's the first of integrate-and-fire neurons; `recurrent` has loops in both layers.

## Written there, read here

Spikes that differ from those of the library that wrote the file. And of the network as it was read,
but with a reset to zero: spikes in the simulator of each chip's toolchain, in real numbers, that
differ from PyTorch's.

| library | network | here | {chips} |
|---|---|---|{rules}
"""
MIDDLE = """
{reasons}

## Written here, read there

The largest difference of an output averaged over time, in float32 there. The transformer has
QK-token attention.

| library | {nets} | remarks |
|---|{rules}---|
"""


def page(results: dict[str, Any]) -> str:
    """Return the results as a page of the documentation."""
    rows: list[str] = []
    reasons: list[str] = []
    for library, found in results.items():
        if "error" in found:
            rows.append(f"| {library} | | {found['error']} |{' |' * len(CHIPS)}")
        for kind, read in found.get("read", {}).items():
            numbers = (read[key] for key in ("mismatches", "compared", "spikes"))
            cells = [library, kind, "{} of {:,}; {} spikes".format(*numbers)]
            for reason in read["chips"].values():
                if " of " in reason and reason.split(" of ")[0].isdigit():
                    cells.append(reason)
                    continue
                plain = " ".join(reason.split())
                if plain not in reasons:
                    reasons.append(plain)
                cells.append(f"refused ({reasons.index(plain) + 1})")
            rows.append(f"| {' | '.join(cells)} |")
    head = HEAD.format(chips=" | ".join(CHIPS), rules="---|" * len(CHIPS))
    listed = "\n".join(f"{number}. {reason}" for number, reason in enumerate(reasons, 1))
    back = []
    for library, found in results.items():
        values = (found.get(net) for net in OURS)
        shown = [f"{x:.1g}" if isinstance(x, float) else "not read" for x in values]
        back.append(f"| {' | '.join([library, *shown, REMARKS[library]])} |")
    middle = MIDDLE.format(reasons=listed, nets=" | ".join(OURS), rules="---|" * len(OURS))
    return head + "\n".join(rows) + "\n" + middle + "\n".join(back) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worker", choices=READ_WITH, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker, arguments.folder)
        return
    results = {library: exchange(library) for library in READ_WITH}
    RESULT.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    RESULT.with_suffix(".md").write_text(page(results), encoding="utf-8")
    print(page(results))


if __name__ == "__main__":
    main()
