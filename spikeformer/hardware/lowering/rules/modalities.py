"""Rules for several modalities: what the host computes before encoders and behind late fusion."""

from __future__ import annotations

from torch import Tensor

from spikeformer.fusion import ConfidenceAverage
from spikeformer.hardware.ir.host import Spectrogram
from spikeformer.hardware.lowering.builder import GraphBuilder
from spikeformer.hardware.lowering.registry import lowers
from spikeformer.hardware.lowering.traced import TracedTensor
from spikeformer.i18n import t
from spikeformer.multimodal import LogMelFrames, TextSpikeEncoder


@lowers(LogMelFrames)
def log_mel_frames(
    builder: GraphBuilder, module: LogMelFrames, waveforms: TracedTensor
) -> TracedTensor:
    """Let the log-mel frames of a network's waveforms come in as values."""
    name = builder.whole_input(waveforms)
    if name is None:
        raise builder.refuse(t("hardware.hears_else"))
    num_samples = waveforms.shape[1]
    builder.drop(waveforms)
    values = builder.source(builder.path, module.shape(num_samples), "values")
    (source,) = values.current.terms
    builder.host[source] = Spectrogram(name, num_samples, LogMelFrames(**module.settings))
    return values


@lowers(TextSpikeEncoder)
def text_encoder(
    builder: GraphBuilder,
    module: TextSpikeEncoder,
    ids: TracedTensor,
    mask: TracedTensor | None = None,
) -> Tensor:
    """Fire at the tokens' currents; ids are checked when samples come."""
    return module.spikes(ids, mask)


@lowers(ConfidenceAverage)
def confidence_average(
    builder: GraphBuilder, module: ConfidenceAverage, outputs: TracedTensor, present: None = None
) -> TracedTensor:
    """Leave the average to the host: outputs of all modalities, one behind the other."""
    together = outputs.permute(1, 2, 0, 3).flatten(2)
    assert isinstance(together, TracedTensor)
    return builder.average(together, len(outputs), module.temperature)
