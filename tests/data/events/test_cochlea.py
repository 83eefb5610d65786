"""The simulated cochlea: where tones are heard, and what loudness does."""

from __future__ import annotations

import numpy as np
import pytest

from spikeformer.data.events import cochlea_spikes
from spikeformer.data.events.cochlea import RATE_HZ, centre_frequencies, envelopes
from spikeformer.error_handling import ArgumentError

RATE = 8000
FREQUENCIES = centre_frequencies(40, 80.0, 3600.0)


def tone(hz: float, samples: int = 4000, loudness: float = 1.0) -> np.ndarray:
    return loudness * np.sin(2 * np.pi * hz * np.arange(samples) / RATE)[None]


def test_centres_are_evenly_spaced_on_their_scale():
    assert FREQUENCIES[[0, -1]] == pytest.approx([80, 3600])
    steps = np.diff(21.4 * np.log10(1 + 0.00437 * FREQUENCIES))
    np.testing.assert_allclose(steps, steps[0])


@pytest.mark.parametrize("band", [3, 17, 30, 37])
def test_a_tone_is_heard_where_it_belongs_as_loud_as_it_is(band):
    heard = envelopes(tone(FREQUENCIES[band], loudness=0.7), RATE, FREQUENCIES)[0]
    middle = heard[:, 200:800].mean(axis=1)
    assert heard.shape == (40, 4000 * RATE_HZ // RATE)
    assert middle.argmax() == band
    assert middle[band] == pytest.approx(0.7, rel=0.05)


def test_the_gain_beside_the_centre_is_that_of_a_gammatone_of_order_four():
    centre, aside = FREQUENCIES[20], FREQUENCIES[20] + 150
    heard = envelopes(tone(aside), RATE, FREQUENCIES)[0, 20, 200:800].mean()
    width = 1.019 * (24.7 + 0.108 * centre)
    assert heard == pytest.approx((1 + (150 / width) ** 2) ** -2, rel=0.05)


def test_an_envelope_follows_its_sound():
    beats = tone(1000.0) * (1 + 0.5 * np.sin(2 * np.pi * 20 * np.arange(4000) / RATE))
    band = int(np.abs(FREQUENCIES - 1000).argmin())
    heard = envelopes(beats, RATE, FREQUENCIES)[0, band, 200:800]
    expected = 1 + 0.5 * np.sin(2 * np.pi * 20 * np.arange(200, 800) / RATE_HZ)
    assert np.corrcoef(heard, expected)[0, 1] > 0.95


def test_spikes_are_in_the_channel_of_the_tone_and_silence_has_none():
    waves = np.concatenate([tone(FREQUENCIES[10]), np.zeros((1, 4000)), tone(FREQUENCIES[30])])
    heard = cochlea_spikes(waves, sample_rate=RATE, channels=40)
    assert (heard.height, heard.width, len(heard)) == (1, 40, 3)
    assert heard.counts[1] == 0
    for number, band in ((0, 10), (2, 30)):
        one = heard[number : number + 1]
        assert np.bincount(one.x, minlength=40).argmax() == band
        assert (np.diff(one.t) >= 0).all()
        assert one.t.max() < 500_000


def test_loudness_of_the_whole_recording_does_not_matter_but_sensitivity_does():
    quiet, loud = (cochlea_spikes(tone(500, loudness=s), sample_rate=RATE) for s in (0.01, 1.0))
    np.testing.assert_array_equal(quiet.t, loud.t)
    more = cochlea_spikes(tone(500), sample_rate=RATE, sensitivity=1.2)
    assert len(more.t) > 1.5 * len(loud.t)


def test_no_recordings_give_none():
    assert len(cochlea_spikes(np.zeros((0, 100)), sample_rate=RATE)) == 0


@pytest.mark.parametrize(
    "options",
    [{"channels": 0}, {"sensitivity": 0.0}, {"lowest_hz": 0.0}, {"highest_hz": 4000.0}],
)
def test_wrong_arguments_are_refused(options):
    with pytest.raises(ArgumentError):
        cochlea_spikes(tone(500), sample_rate=RATE, **options)
