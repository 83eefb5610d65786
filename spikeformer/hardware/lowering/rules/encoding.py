"""Rule for spike encoders: what comes in."""

from __future__ import annotations

from spikeformer.encoding import DeltaCoding, DirectCoding, FrameCoding, SpikeEncoder
from spikeformer.hardware.lowering.builder import GraphBuilder
from spikeformer.hardware.lowering.current import permutation
from spikeformer.hardware.lowering.registry import lowers, refuses
from spikeformer.hardware.lowering.traced import TracedTensor
from spikeformer.i18n import t


@lowers(SpikeEncoder)
def encoder(builder: GraphBuilder, module: SpikeEncoder, x: TracedTensor) -> TracedTensor:
    """Let the network's values, or the spike trains made of them, come in."""
    builder.check_timesteps(module.timesteps)
    if module.constant:
        if isinstance(module, DirectCoding):
            x = module.values(x)  # type: ignore[assignment]
        held = x.unsqueeze(1).expand(-1, module.timesteps, *x.shape[1:])
        assert isinstance(held, TracedTensor)
        return held
    whole = [permutation(operator) is not None for operator in x.current.terms.values()]
    if not x.current.constant or whole != [True]:
        raise builder.refuse(t("hardware.encodes_else"))
    if builder.encoder is not None:
        raise builder.refuse(t("hardware.encodes_twice"))
    builder.drop(x)
    builder.encoder = builder.path
    if module.temporal:
        # Events come in as they are, each in its step.
        if x.shape[1:2] != (module.timesteps,):
            raise builder.refuse(
                t("hardware.other_timesteps", timesteps=x.shape[1], expected=module.timesteps)
            )
        return builder.source("input", x.shape[2:], "spikes")
    if not isinstance(module, DeltaCoding):
        return builder.source("input", x.shape[1:], "spikes")
    up = builder.source("input.up", x.shape[1:], "spikes")
    down = builder.source("input.down", x.shape[1:], "spikes")
    difference = up - down
    assert isinstance(difference, TracedTensor)
    return difference


@refuses(FrameCoding)
def frames_are_not_spikes(module: FrameCoding) -> str:
    """Refuse real numbers that change every step."""
    return t("hardware.frames_are_not_spikes")
