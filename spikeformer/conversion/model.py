"""A converted network: called like the original, spiking inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from spikeformer.conversion.cache import StepCache, find_cache, replace_cache
from spikeformer.conversion.coding.coding import Coding
from spikeformer.conversion.coding.execution import Execution, ExecutionRecorder, Tuner
from spikeformer.conversion.coding.integers import PackedWeights
from spikeformer.conversion.generation import generate, generates
from spikeformer.conversion.guard import hand_out
from spikeformer.conversion.outputs import EarlyExit, StepOutputs
from spikeformer.conversion.report import ConversionReport
from spikeformer.conversion.tracing.interception import intercept
from spikeformer.conversion.tracing.plan import ConversionPlan
from spikeformer.error_handling import (
    ConversionError,
    SpikeformerError,
    check_interval,
    check_positive_int,
)
from spikeformer.instrument import Trail
from spikeformer.models.hub import HubMixin

CHUNK = 8
"""Timesteps that pass through the network together: fewer calls for more memory."""


class SpikingModel(HubMixin, nn.Module):
    """A network whose matrix products and convolutions see spikes alone.

    It takes the arguments of the original and returns what the original returns, of the same type
    and with the same fields: the rates after the last timestep. A call keeps nothing for the next.

    Args:
        original: The network, in evaluation mode; it becomes a part of this one.
        coding: How activations are encoded as spikes.
        timesteps: Timesteps of a call.
        confidence: Stop before the last timestep once every sample's most likely class, by the
            field `logits`, has at least this probability; None never stops early.

    Attributes:
        timesteps: Timesteps of a call; may be changed at any time.
        chunk: Timesteps that pass through the network together; memory grows with it, and not
            with `timesteps`.
        integers: Multiply events in integers where that is quicker (`coding/integers.py`): large
            linear layers under `torch.no_grad()`, on CPUs that multiply bytes. It keeps three bytes
            a weight, and products are those of float32 but for about 1e-5. False keeps to float32.

    Raises:
        ArgumentError: A value lies outside its range.
        ConversionError: A call leads the network along a path that it was not converted for.
        SpikingDynamicsError: An activation is NaN or Inf.
    """

    hub_files: ClassVar = ("config.json", "conversion.json", "model.safetensors")

    def __init__(
        self,
        original: nn.Module,
        coding: Coding,
        timesteps: int,
        confidence: float | None = None,
    ) -> None:
        super().__init__()
        self.original = original
        self.coding = coding
        self.timesteps = check_positive_int("timesteps", timesteps)
        self.confidence = confidence
        if confidence is not None:
            check_interval("confidence", confidence, 0.0, 1.0)
        self.chunk = CHUNK
        self.integers = True
        self._weights = PackedWeights()
        self.plan = ConversionPlan()
        self.thresholds = Thresholds()
        self.types = {path: type(module).__name__ for path, module in original.named_modules()}
        self.trade_off: list[dict[str, Any]] = []
        self.choice: dict[str, Any] = {}
        self._recorder: ExecutionRecorder | None = None
        self.eval()

    @torch.compiler.disable
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the original returns, computed with spikes."""
        if torch._C._get_tracing_state() is not None or torch.compiler.is_exporting():
            raise ConversionError(
                "A converted network cannot be traced or exported: how many events it has depends "
                "on its input. Keep it with save_converted(network, folder), or trace `original`."
            )
        early = None if self.confidence is None else EarlyExit(self.confidence)
        for outputs in self._chunks(self._execution(), args, kwargs):
            if early is not None and early.add(outputs):
                break
        return outputs.last if early is None else outputs.with_tensors(early.tensors)

    def readouts(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Yield the output after each timestep, the last being that of `forward`.

        With radix coding, in which every layer waits for all digits of the one before, there is
        one alone.
        """
        for outputs in self._chunks(self._execution(), args, kwargs):
            yield from outputs.each()

    @property
    def generates(self) -> bool:
        """Whether the original is a language model of `transformers` that continues texts."""
        return generates(self.original)

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """Continue prompts as `generate` of the original does, with spikes alone.

        Takes the arguments of `transformers.GenerationMixin.generate` and returns what it returns:
        greedy, sampling, beams, streamers, batches padded on the left. Keys and values of earlier
        tokens are kept per timestep (`cache.py`), so that a token costs one token's work and the
        result is that of computing the whole text once more; `use_cache=False` does the latter.

        Raises:
            ConversionError: The original is no causal language model of `transformers`, or the
                prompts do not fit it.
        """
        if hasattr(self.original, "can_generate"):
            return generate(self, self.original, *args, **kwargs)
        return hand_out(self, self.original, "generate")(*args, **kwargs)

    def without_neurons(self, *args: Any, **kwargs: Any) -> list[Any]:
        """Return the outputs of two timesteps with every neuron passing on what it is given.

        They equal the original's output to rounding, which shows that the conversion changes
        nothing but what the neurons' limited levels do.
        """
        execution = self._execution()
        execution.silent = True
        cache = StepCache(find_cache((*args, *kwargs.values())), 2)
        return list(self._run(execution, 1, 2, args, kwargs, cache).each())

    @torch.no_grad()
    def tune(self, tuner: Tuner, *args: Any, **kwargs: Any) -> None:
        """Let `tuner` change thresholds and biases during one pass of all timesteps."""
        execution = self._execution()
        execution.tuner = tuner
        radix = self.coding.encoding == "radix"
        first, steps = (self.timesteps, 1) if radix else (1, self.timesteps)
        self._run(execution, first, steps, args, kwargs, StepCache(None, steps))

    def report(self) -> ConversionReport:
        """Return what became of every module."""
        return ConversionReport.of(
            self.plan, self.types, self.coding, self.timesteps, self.trade_off, self.choice
        )

    @contextmanager
    def recording(self, recorder: ExecutionRecorder) -> Iterator[None]:
        """Tell `recorder` of the events and operations of the calls inside the context."""
        before, self._recorder = self._recorder, recorder
        try:
            yield
        finally:
            self._recorder = before

    def train(self, mode: bool = True) -> SpikingModel:
        """Set the mode of this module; the original's dropout and batch norm stay as in use."""
        super().train(mode)
        self.original.eval()
        return self

    def __getattr__(self, name: str) -> Any:
        """Hand out what the original has, its `config` for one.

        What would run the original network is refused: nothing in it would spike (`guard.py`).
        """
        try:
            return super().__getattr__(name)
        except AttributeError:
            original = self.__dict__.get("_modules", {}).get("original")
            if original is None:
                raise
            return hand_out(self, original, name)

    def _write(self, folder: Path) -> None:
        from spikeformer.conversion.checkpoint import save_converted  # imports this module

        save_converted(self, folder)

    @classmethod
    def _read(  # type: ignore[override]
        cls, folder: Path, *, ann_model: nn.Module | None = None
    ) -> Self:
        from spikeformer.conversion.checkpoint import load_converted  # imports this module

        loaded = load_converted(folder, ann_model)
        assert isinstance(loaded, cls)
        return loaded

    def _execution(self) -> Execution:
        return Execution(
            self.plan,
            self.thresholds.by_site(),
            self.coding,
            Trail(self.original),
            self.types,
            recorder=self._recorder,
            weights=self._weights if self.integers else None,
        )

    def _chunks(
        self, execution: Execution, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Iterator[StepOutputs]:
        radix = self.coding.encoding == "radix"
        cache = StepCache(find_cache((*args, *kwargs.values())), 1 if radix else self.timesteps)
        if radix:
            outputs = self._run(execution, self.timesteps, 1, args, kwargs, cache)
            outputs.cache = cache.finish()
            yield outputs
            return
        # A call that goes on with a text has a token or a few: calls cost more than memory.
        chunk = self.timesteps if cache.started else self.chunk
        for first in range(1, self.timesteps + 1, chunk):
            steps = min(chunk, self.timesteps + 1 - first)
            outputs = self._run(execution, first, steps, args, kwargs, cache)
            if first + steps > self.timesteps:
                outputs.cache = cache.finish()
            yield outputs

    def _run(
        self,
        execution: Execution,
        first: int,
        steps: int,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        cache: StepCache,
    ) -> StepOutputs:
        """Send some timesteps through the network."""
        collected = StepOutputs()

        def call(step: Tensor, kept: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            execution.begin(step, first, steps)
            given, named = replace_cache((args, dict(kwargs)), cache.fill(kept))
            output = self.original(*given, **named)
            return collected.take(output), cache.take(output)

        device = next((p.device for p in self.original.parameters()), torch.device("cpu"))
        numbers = torch.arange(first, first + steps, device=device)
        kept = cache.chunk(1 if self.coding.encoding == "radix" else first, steps)
        try:
            with execution.trail, intercept(execution):
                over_time = torch.vmap(call, (0, 1), (0, 1), randomness="different")
                collected.values, grown = over_time(numbers, kept)
        except SpikeformerError:
            raise
        except (RuntimeError, ValueError) as error:
            if "vmap" not in str(error):
                raise
            raise ConversionError(
                f"{execution.where} does something that cannot run over timesteps: "
                f"{str(error).splitlines()[0]} Rewrite it without data-dependent branches and "
                "without writing activations into tensors in place."
            ) from error
        cache.add(grown)
        return collected


class Thresholds(nn.Module):
    """The largest levels of all sites, as buffers: saved and moved with the network."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def set(self, site: str, theta: Tensor) -> None:
        """Set the levels of a site, shaped to broadcast against its activation."""
        if site not in self.names:
            self.names.append(site)
        # Buffers' names may hold no dots, and those of sites do.
        self.register_buffer(f"site{self.names.index(site)}", theta.detach().clone())

    def by_site(self) -> dict[str, Tensor]:
        """Return the levels by name of site."""
        return {name: getattr(self, f"site{index}") for index, name in enumerate(self.names)}
