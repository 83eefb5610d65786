"""Sounds to spikes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from spikeformer.data.spectrogram import log_mel, mel_filters
from spikeformer.error_handling import SpikingDynamicsError, check_positive, check_positive_int
from spikeformer.models import ConvStem
from spikeformer.multimodal.encoder import ModalityEncoder
from spikeformer.neurons import LifNeuron, NeuronFactory


class LogMelFrames(nn.Module):
    r"""Log-mel frames of waveforms, scaled to [0, 1] by the loudest of each.

    With the log-mel spectrogram S in dB (see `spikeformer.data.log_mel`):
    `x = max(0, 1 - (max S - S) / dynamic_range_db)`, and 0 for a waveform without any sound.

    Args:
        sample_rate: Samples per second of the waveforms.
        n_fft: Frame length in samples.
        hop_length: Samples from one frame to the next.
        num_mels: Mel bands.
        dynamic_range_db: Range of loudness that [0, 1] covers.

    Raises:
        ArgumentError: A value is outside its range.

    Example:
        >>> LogMelFrames()(torch.randn(2, 1256)).shape
        torch.Size([2, 32, 11])
    """

    linear_between_neurons: ClassVar[bool] = True
    """The frames are what enters, before any neuron."""

    def __init__(
        self,
        sample_rate: int = 8000,
        n_fft: int = 256,
        hop_length: int = 100,
        num_mels: int = 32,
        dynamic_range_db: float = 80.0,
    ) -> None:
        super().__init__()
        self.sample_rate = check_positive_int("sample_rate", sample_rate)
        self.n_fft = check_positive_int("n_fft", n_fft)
        self.hop_length = check_positive_int("hop_length", hop_length)
        self.num_mels = check_positive_int("num_mels", num_mels)
        self.dynamic_range_db = check_positive("dynamic_range_db", dynamic_range_db)
        with torch.device("cpu"):  # also where a network is built without memory
            mel_filters(sample_rate, n_fft, num_mels)  # refuses too many bands at once

    @property
    def settings(self) -> dict[str, Any]:
        """Its arguments."""
        names = ("sample_rate", "n_fft", "hop_length", "num_mels", "dynamic_range_db")
        return {name: getattr(self, name) for name in names}

    def shape(self, samples: int) -> tuple[int, int]:
        """Return bands and frames of a waveform of so many samples, at least `n_fft`."""
        return self.num_mels, 1 + (samples - self.n_fft) // self.hop_length

    @torch.no_grad()
    def forward(self, waveforms: Tensor) -> Tensor:
        """Map waveforms (batch, samples) to frames (batch, num_mels, frames)."""
        loudness = log_mel(
            waveforms.float(),
            sample_rate=self.sample_rate,
            n_fft=self.n_fft,
            hop_length=self.hop_length,
            num_mels=self.num_mels,
        )
        loudest = loudness.amax(dim=(1, 2), keepdim=True)
        scaled: Tensor = (1 - (loudest - loudness) / self.dynamic_range_db).clamp(min=0)
        silent = (waveforms == 0).all(dim=1)[:, None, None]  # has no loudest part to measure by
        return scaled.masked_fill(silent, 0.0).to(waveforms.dtype)


class AudioSpikeEncoder(ModalityEncoder):
    r"""Encodes waveforms or log-mel frames by strided convolutions with spiking neurons.

    A waveform becomes log-mel frames scaled by their own loudest value (see `LogMelFrames`), so
    that volume makes no difference. From there on it is an image of one channel. On a chip's side
    the host computes the frames.

    Args:
        embed_dim: Channels of a token; the convolutions double their width up to it.
        timesteps: Number of timesteps of the spikes.
        sample_rate: Samples per second of the waveforms.
        n_fft: Frame length in samples.
        hop_length: Samples from one frame to the next.
        num_mels: Mel bands.
        dynamic_range_db: Range of loudness that [0, 1] covers.
        strides: Stride of each convolution, 1 or 2, in frequency and time.
        neuron: Factory of the spiking neurons.
        threshold: Their threshold.

    Raises:
        ArgumentError: A value is outside its range.

    Source: see `spikeformer.models.ConvStem`.

    Example:
        >>> encoder = AudioSpikeEncoder(embed_dim=32, timesteps=4, sample_rate=8000)
        >>> encoder.encode(torch.randn(2, 4000), sample_rate=8000).shape
        torch.Size([2, 4, 40, 32])
        >>> encoder.encode(torch.rand(2, 32, 38)).shape
        torch.Size([2, 4, 40, 32])
    """

    def __init__(
        self,
        embed_dim: int,
        timesteps: int,
        *,
        sample_rate: int = 8000,
        n_fft: int = 256,
        hop_length: int = 100,
        num_mels: int = 32,
        dynamic_range_db: float = 80.0,
        strides: Sequence[int] = (2, 2, 2),
        neuron: NeuronFactory = LifNeuron,
        threshold: float = 1.0,
    ) -> None:
        super().__init__(embed_dim, timesteps, neuron=neuron, threshold=threshold)
        self.spectrogram = LogMelFrames(sample_rate, n_fft, hop_length, num_mels, dynamic_range_db)
        self.stem = ConvStem(1, embed_dim, timesteps, strides, neuron=neuron, threshold=threshold)
        # Channels-last convolutions hand their output to the token layers without a copy.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor, *, sample_rate: int | None = None) -> Tensor:
        """Encode sounds.

        Args:
            x: Waveforms of shape (batch, samples), at least `n_fft` long; or log-mel frames, best
                in [0, 1], of shape (batch, num_mels, frames).
            sample_rate: Samples per second of `x`, if you wish it checked.

        Returns:
            Spikes of shape (batch, timesteps, tokens, embed_dim), tokens from the low frequencies'
            row to the high ones', each in the order of time.

        Raises:
            SpikingDynamicsError: `x` has another shape, dtype or sampling rate.
        """
        frontend = self.spectrogram
        if sample_rate is not None and sample_rate != frontend.sample_rate:
            raise SpikingDynamicsError(
                f"Expected sound at {frontend.sample_rate:d} samples per second, but got "
                f"{sample_rate:d}. Resample it, or build the encoder with "
                f"sample_rate={sample_rate:d}."
            )
        waves = x.ndim == 2 and x.shape[1] >= frontend.n_fft
        frames = x.ndim == 3 and x.shape[1] == frontend.num_mels and x.shape[2] > 0
        if not (waves or frames) or not x.is_floating_point():
            raise SpikingDynamicsError(
                "Expected floating-point waveforms of shape (batch, samples), at least "
                f"n_fft={frontend.n_fft} samples long, or log-mel frames of shape (batch, "
                f"num_mels={frontend.num_mels}, frames), but got {x.dtype} of shape "
                f"{tuple(x.shape)}."
            )
        image = frontend(x) if waves else x
        return self.neuron(self.stem(image[:, None, None]))
