from __future__ import annotations

import copy

import pytest
import torch

from spikeformer.error_handling import ArgumentError, SpikingDynamicsError
from spikeformer.fusion import FUSIONS, FusionConfig, MultiModalSpikeTransformer
from spikeformer.models import SpikingAttention
from spikeformer.profiling import OperationCounter
from tests.fusion.networks import DIMS, TOKENS, T, config, spikes, transformer

fusions = pytest.mark.parametrize("fusion_type", FUSIONS)


@fusions
@pytest.mark.parametrize("residual", ["membrane", "sew"])
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_shapes_and_gradients(fusion_type, residual, norm):
    inputs = spikes()
    model = transformer(fusion_type, inputs, residual=residual, norm=norm).train()
    outputs = model({**inputs, "text": inputs["text"][:, :, 0]})
    assert outputs.shape == (4, 3)
    torch.nn.functional.cross_entropy(outputs, torch.tensor([0, 1, 2, 0])).backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None]
    assert missing == []
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@fusions
@torch.no_grad()
def test_evidence_averages_to_the_logits(fusion_type):
    inputs = spikes()
    model = transformer(fusion_type, inputs)
    evidence = model.evidence(inputs)
    assert evidence.shape == (4, T, 3)
    assert torch.equal(model(inputs), evidence.mean(1))


@fusions
@pytest.mark.parametrize("norm", ["batch", "layer"])
@torch.no_grad()
def test_a_missing_modality_takes_no_part_sample_by_sample(fusion_type, norm):
    inputs = spikes(6)
    model = transformer(fusion_type, inputs, norm=norm)
    # Which modalities each sample has.
    names = list(DIMS)
    has = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 0]]).bool()
    masks = {name: has[:, number] for number, name in enumerate(names)}
    filled = {name: x.clone() for name, x in inputs.items()}
    for name, mask in masks.items():
        filled[name][~mask] = torch.nan
    together = model(filled, masks)
    for number in range(6):
        one = {name: x[number : number + 1] for name, x in inputs.items()}
        own = {name: x if has[number, names.index(name)] else None for name, x in one.items()}
        torch.testing.assert_close(together[number : number + 1], model(own))
        without = {name: x for name, x in own.items() if x is not None}
        assert torch.equal(model(own), model(without))


@fusions
@torch.no_grad()
def test_every_modality_counts(fusion_type):
    inputs = spikes(32)
    model = transformer(fusion_type, inputs)
    everything = model(inputs)
    for name in DIMS:
        assert not torch.allclose(everything, model({**inputs, name: None}))


@fusions
def test_masked_training_learns_from_what_is_there_alone(fusion_type):
    inputs = spikes(8)
    model = transformer(fusion_type, inputs)
    mask = {"audio": torch.arange(8) % 2 == 0}
    spoiled = {**inputs, "audio": inputs["audio"].clone()}
    spoiled["audio"][1::2] = torch.nan
    states = []
    for given in (inputs, spoiled):
        copied = copy.deepcopy(model).train()
        copied(given, mask).square().sum().backward()
        states.append([*copied.buffers(), *(p.grad for p in copied.parameters())])
    for a, b in zip(*states, strict=True):
        assert torch.equal(a, b)
        assert torch.isfinite(a).all()


def test_modality_dropout_is_for_training():
    inputs = spikes(8)
    model = transformer("cross_attention", inputs, modality_dropout=1.0)
    assert torch.equal(model(inputs), model(inputs))
    seen = []
    join = model.fusion.join

    def watch(given, masks):
        seen.append({name: x.flatten(1).sum(1) > 0 for name, x in given.items()})
        return join(given, masks)

    model.fusion.join = watch
    model.train()(inputs)
    (present,) = seen
    assert (torch.stack(list(present.values())).sum(0) == 1).all()


@pytest.mark.parametrize("fusion_type", ["cross_attention", "gated"])
def test_the_default_runs_and_grows_linearly_with_the_tokens(fusion_type):
    model = MultiModalSpikeTransformer(config(fusion_type), DIMS, 3, 1).eval()
    assert model.blocks["all"].blocks[0].attention.mechanism.num_projections == 3
    dense = []
    for repeats in (1, 2, 3):
        inputs = {name: x.repeat(1, 1, repeats, 1) for name, x in spikes(1).items()}
        with OperationCounter(model) as counter, torch.no_grad():
            model(inputs)
        dense.append(sum(layer.dense for layer in counter.works[0].counts().layers))
    assert dense[2] - dense[1] == dense[1] - dense[0]


def test_the_counter_sees_every_layer_and_the_gates_attention():
    inputs = spikes(2)
    model = transformer("cross_attention", inputs)
    with OperationCounter(model) as counter, torch.no_grad():
        model(inputs)
    (work,) = counter.works
    assert work.uncounted() == {}
    dense = {layer.name: layer.dense for layer in work.counts().layers if layer.kind == "attention"}
    for name in DIMS:
        found = dense[f"fusion.attentions.{name}.mechanism"]
        assert found == 2 * T * TOKENS[name] * 8


def test_the_attention_of_the_blocks_can_be_chosen():
    from functools import partial

    from spikeformer.models import SpikingSelfAttention

    attention = partial(SpikingAttention, mechanism=SpikingSelfAttention)
    model = transformer("concat", spikes(), attention=attention)
    found = [m for m in model.modules() if isinstance(m, SpikingAttention)]
    assert found
    assert all(isinstance(m.mechanism, SpikingSelfAttention) for m in found)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"num_layers": 0}, "num_layers"),
        ({"num_classes": 0}, "num_classes"),
        ({"modality_dropout": 1.5}, "modality_dropout"),
        ({"modality_dims": {}}, "modality_dims"),
        ({"norm": "group"}, "norm"),
    ],
)
def test_values_outside_their_range(wrong, named):
    given = {"modality_dims": DIMS, "num_classes": 3, "num_layers": 1, **wrong}
    with pytest.raises(ArgumentError, match=named):
        MultiModalSpikeTransformer(config(), **given)
    with pytest.raises(ArgumentError, match="fusion_type"):
        FusionConfig(fusion_type="early")
    with pytest.raises(ArgumentError, match="temperature"):
        FusionConfig(temperature=0.0)


def test_wrong_inputs_are_refused():
    model = MultiModalSpikeTransformer(config(), DIMS, 3, 1)
    with pytest.raises(ArgumentError, match="at least one modality"):
        model({})
    with pytest.raises(ArgumentError, match="smell"):
        model({"smell": torch.rand(2, T, 4)})
    with pytest.raises(SpikingDynamicsError, match="timesteps"):
        model({"audio": torch.rand(2, T + 1, 4)})
