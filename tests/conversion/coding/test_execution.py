"""Nothing but events enters a product, and counting them gives what is reported."""

from __future__ import annotations

import pytest
import torch

from spikeformer.conversion import Activity, SpikeformerConverter
from tests.conversion.event_driven import EventDriven
from tests.conversion.networks import TRANSFORMERS, relative


@pytest.mark.parametrize("neuron_model", ["IF", "LIF"])
@pytest.mark.parametrize("name", ["vit_classifier", "bert", "distilbert"])
def test_products_of_events_alone_give_the_same_outputs(name, neuron_model):
    make, inputs = TRANSFORMERS[name]
    network, example = make().double(), inputs()
    example = {k: x.double() if x.is_floating_point() else x for k, x in example.items()}
    converter = SpikeformerConverter(timesteps=5, neuron_model=neuron_model)
    snn = converter.convert(network, example)
    snn.thresholds.float()
    reference = EventDriven(snn).run(5, **example)
    with torch.no_grad():
        outputs = list(snn.readouts(**example))
    for ours, theirs in zip(outputs, reference, strict=True):
        # A membrane that lies on a level's edge may be rounded to either side.
        assert relative(ours[0], theirs[0]) < 2e-3


def test_events_are_levels_with_a_sign():
    make, inputs = TRANSFORMERS["bert"]
    network, example = make(), inputs()
    snn = SpikeformerConverter(timesteps=3, levels=4).convert(network, example)
    reference = EventDriven(snn)
    reference.run(3, **example)
    assert reference.events
    for _, spikes, theta in reference.events:
        sizes = (spikes.abs() / theta).unique()
        assert set(sizes.tolist()) <= {0.0, 0.125, 0.25, 0.5, 1.0}


def test_reported_events_are_those_that_were_sent():
    make, inputs = TRANSFORMERS["vit"]
    network, example = make(), inputs()
    snn = SpikeformerConverter(timesteps=4, neuron_model="IF").convert(network, example)
    reference = EventDriven(snn)
    reference.run(4, **example)
    sent = {}
    for site, spikes, _ in reference.events:
        sent[site] = sent.get(site, 0) + int(spikes.count_nonzero())
    activity = Activity(snn.plan, snn.coding)
    with torch.no_grad(), snn.recording(activity):
        snn(**example)
    total = sum(sent.values())
    assert activity.events() == pytest.approx(total, rel=2e-3)
    assert set(activity.rates()) == set(sent)
