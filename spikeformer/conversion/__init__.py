"""Turn trained networks into spiking ones.

`SpikeformerConverter` converts as it is, `ConversionPipeline` with data to calibrate on;
`evaluate_conversion` compares the result with its original, `save_converted` and `load_converted`
keep it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikeformer import lazily

if TYPE_CHECKING:
    from spikeformer.conversion.calibration.pipeline import ConversionPipeline
    from spikeformer.conversion.checkpoint import load_converted, save_converted
    from spikeformer.conversion.coding.coding import Coding
    from spikeformer.conversion.coding.neuron import Fired, NeuronState, fire
    from spikeformer.conversion.converter import SpikeformerConverter
    from spikeformer.conversion.evaluation.activity import Activity
    from spikeformer.conversion.evaluation.evaluation import evaluate_conversion
    from spikeformer.conversion.evaluation.figures import Evaluation, StepFigures
    from spikeformer.conversion.harness import harness_model
    from spikeformer.conversion.model import SpikingModel
    from spikeformer.conversion.pretrained import PretrainedTransformer
    from spikeformer.conversion.report import ConversionReport, ModuleReport, ModuleStatus
else:
    __getattr__, __dir__ = lazily(__name__)

__all__ = [
    "Activity",
    "Coding",
    "ConversionPipeline",
    "ConversionReport",
    "Evaluation",
    "Fired",
    "ModuleReport",
    "ModuleStatus",
    "NeuronState",
    "PretrainedTransformer",
    "SpikeformerConverter",
    "SpikingModel",
    "StepFigures",
    "evaluate_conversion",
    "fire",
    "harness_model",
    "load_converted",
    "save_converted",
]
