"""What `graph.json` may hold: types and ranges, which are checked when it is read."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from spikeformer.hardware.ir.firing import MAX_LEVELS, Rule

Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=500)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**40)]
Size: TypeAlias = Annotated[int, Meta(ge=1, le=2**31)]
Side: TypeAlias = Annotated[int, Meta(ge=1, le=2**16)]
Padding: TypeAlias = Annotated[int, Meta(ge=0, le=2**16)]
Exponent: TypeAlias = Annotated[int, Meta(ge=0, le=16)]
Shape: TypeAlias = Annotated[tuple[Size, ...], Meta(max_length=8)]


class TokenLinearRecord(Struct, tag_field="kind", tag="TokenLinear", forbid_unknown_fields=True):
    """A `TokenLinear`; `weights` names its array."""

    weights: Text
    tokens: Size
    channels_first: bool


class TokenSumRecord(Struct, tag_field="kind", tag="TokenSum", forbid_unknown_fields=True):
    """A `TokenSum`; `weights` names its array."""

    weights: Text
    tokens: Size


class ConvolutionRecord(Struct, tag_field="kind", tag="Convolution", forbid_unknown_fields=True):
    """A `Convolution`; `weights` names its array."""

    weights: Text
    image: tuple[Side, Side, Side]
    stride: tuple[Side, Side]
    padding: tuple[Padding, Padding]
    groups: Side
    tokens_out: bool


class SparseRecord(Struct, tag_field="kind", tag="Sparse", forbid_unknown_fields=True):
    """A `Sparse`; the other fields name its three arrays."""

    shape: tuple[Size, Size]
    data: Text
    indices: Text
    indptr: Text


OperatorRecord: TypeAlias = TokenLinearRecord | TokenSumRecord | ConvolutionRecord | SparseRecord


class PopulationRecord(Struct, forbid_unknown_fields=True):
    """A `Population`; `bias` names its array."""

    name: Text
    shape: Shape
    kind: str
    decay: Annotated[float, Meta(ge=0, le=1)]
    threshold: Annotated[float, Meta(gt=0, le=1e30)]
    bias: Text | None
    depth: Count
    rule: Rule = "threshold"
    levels: Annotated[int, Meta(ge=1, le=MAX_LEVELS)] = 1
    current_decay: Annotated[float, Meta(ge=0, lt=1)] = 0.0


class ProjectionRecord(Struct, forbid_unknown_fields=True):
    """A `Projection`."""

    source: Text
    target: Text
    delay: Count
    operator: OperatorRecord
    lag: Count = 0


class ReadoutRecord(Struct, forbid_unknown_fields=True):
    """A `Readout`; `bias` names its array."""

    shape: Shape
    terms: Annotated[list[tuple[Text, OperatorRecord]], Meta(min_length=1)]
    bias: Text
    mask: Text | None = None
    branches: Annotated[int, Meta(ge=1, le=2**10)] = 1
    temperature: Annotated[float, Meta(gt=0, le=1e30)] = 1.0


class LookupRecord(Struct, forbid_unknown_fields=True):
    """A `Lookup`; `table` names its array."""

    ids: Text
    table: Text


class SpectrogramRecord(Struct, forbid_unknown_fields=True):
    """A `Spectrogram`."""

    argument: Text
    num_samples: Size
    sample_rate: Size
    n_fft: Side
    hop_length: Size
    num_mels: Side
    dynamic_range_db: Annotated[float, Meta(gt=0, le=1e6)]


class SchemeRecord(Struct, forbid_unknown_fields=True):
    """A `Scheme`; in integers its largest state is that of their format."""

    levels: Annotated[int, Meta(ge=1, le=40)]
    mantissa: Annotated[int, Meta(ge=0, le=8)]
    leak: Annotated[float, Meta(ge=0, le=1)]


class DifferentialRecord(Struct, forbid_unknown_fields=True):
    """What a `Differential` has beside a `Population`; the first three name arrays."""

    unit: Text
    start: Text
    scale: Text
    source: Text | None = None
    function: str = ""


class FunctionRecord(Struct, forbid_unknown_fields=True):
    """A `HostOperation`."""

    name: Text
    function: Text
    arguments: list[Any]
    settings: dict[str, Any]
    shape: Shape
    module: str
    depth: Annotated[int, Meta(ge=-1, le=2**40)]


class HostedRecord(Struct, forbid_unknown_fields=True):
    """What a `HostedGraph` has beside a `SpikeGraph`; `constants` name arrays."""

    scheme: SchemeRecord
    populations: dict[Text, DifferentialRecord]
    functions: list[FunctionRecord]
    constants: dict[Text, Text]
    output: Text


class GraphRecord(Struct, forbid_unknown_fields=True):
    """A `SpikeGraph`."""

    name: str
    timesteps: Annotated[int, Meta(ge=1, le=2**20)]
    populations: list[PopulationRecord]
    projections: list[ProjectionRecord]
    readout: ReadoutRecord | None
    hosted: HostedRecord | None = None


class NeuronsRecord(Struct, forbid_unknown_fields=True):
    """An `IntegerNeurons`."""

    dv: Annotated[int, Meta(ge=0, le=2**24)]
    vth: Annotated[int, Meta(ge=0, le=2**24)]
    bias_exp: Exponent
    scale: Annotated[float, Meta(gt=0, le=1e30)]
    du: Annotated[int, Meta(ge=0, le=2**24)] | None = None


class NumbersRecord(Struct, forbid_unknown_fields=True):
    """A `NumberFormat`."""

    max_weight: Annotated[int, Meta(ge=1, le=2**16)]
    weight_shift: Exponent
    decay_one: Annotated[int, Meta(ge=2, le=2**24)]
    max_threshold: Annotated[int, Meta(ge=1, le=2**24)]
    max_state: Annotated[int, Meta(ge=1, le=2**31)]
    max_bias: Annotated[int, Meta(ge=1, le=2**24)]
    max_bias_exp: Exponent
    threshold_of_values: Annotated[int, Meta(ge=1, le=2**24)]


class IntegersRecord(Struct, forbid_unknown_fields=True):
    """An `IntegerGraph`, but for what its graph shares with the one in the network's units."""

    format: NumbersRecord
    neurons: dict[Text, NeuronsRecord]
    projections: list[ProjectionRecord]
    populations: dict[Text, DifferentialRecord] = {}


class LimitsRecord(Struct, forbid_unknown_fields=True):
    """A `ChipLimits`."""

    name: str
    cores_per_chip: Size
    neurons_per_core: Size
    synapse_bytes_per_core: Count
    bytes_per_weight: Size
    max_delay: Size | None
    source: str


class PlacementRecord(Struct, forbid_unknown_fields=True):
    """A `Placement`; each core is chip, core, population, first, neurons, synapses, bytes."""

    limits: LimitsRecord
    num_chips: Count
    num_cores: Count
    cores: list[tuple[Count, Count, Text, Count, Count, Count, Count]]


class GraphFile(Struct, forbid_unknown_fields=True):
    """All of `graph.json`."""

    target: str
    placement: PlacementRecord | None
    details: dict[str, Any]
    encoder: dict[str, Any] | None
    graph: GraphRecord
    integers: IntegersRecord | None
    npz_sha256: str
    lookups: dict[Text, LookupRecord] = {}
    spectrograms: dict[Text, SpectrogramRecord] = {}
    format: Literal["spikeformer graph"] = "spikeformer graph"
    version: Literal[2] = 2
