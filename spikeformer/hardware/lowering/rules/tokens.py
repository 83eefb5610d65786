"""Rules for tokens: embeddings that the host looks up, and readouts that leave padding out."""

from __future__ import annotations

from torch import Tensor, nn

from spikeformer.hardware.ir.host import Lookup
from spikeformer.hardware.lowering.builder import GraphBuilder
from spikeformer.hardware.lowering.registry import lowers
from spikeformer.hardware.lowering.traced import TracedTensor
from spikeformer.i18n import t
from spikeformer.models import SpikingTransformer
from spikeformer.models.heads import PooledHead


@lowers(nn.Embedding)
def embedding(builder: GraphBuilder, module: nn.Embedding, ids: Tensor) -> Tensor:
    """Let the embeddings of a network's token ids come in as values; positions are numbers."""
    if not isinstance(ids, TracedTensor):
        numbers: Tensor = type(module).forward(module, ids)
        return numbers
    name = builder.whole_input(ids)
    if name is None:
        raise builder.refuse(t("hardware.looks_up_else"))
    values = builder.source(builder.path, (*ids.shape[1:], module.embedding_dim), "values")
    (source,) = values.current.terms
    builder.host[source] = Lookup(name, module.weight.numpy(force=True))
    builder.drop(ids)
    return values


@lowers(SpikingTransformer)
def transformer(
    builder: GraphBuilder,
    module: SpikingTransformer,
    input_ids: TracedTensor,
    mask: TracedTensor | None = None,
) -> TracedTensor:
    """Run the blocks on the tokens' currents; ids are checked when samples come."""
    features: TracedTensor = module.blocks(module.embed(input_ids, mask), mask)
    return features


@lowers(PooledHead)
def pooled(
    builder: GraphBuilder,
    module: PooledHead,
    features: TracedTensor,
    mask: TracedTensor | None = None,
) -> TracedTensor:
    """Average over tokens and read out; over a mask's tokens it is the host who divides."""
    if mask is not None:
        builder.read_at(mask)
    outputs = type(module).forward(module, features)
    assert isinstance(outputs, TracedTensor)
    return outputs
