"""What came out of a run: one frozen dataclass for each kind of result, with its file."""

from spikeformer.runs.results.baseline import BaselineResults
from spikeformer.runs.results.conversion import ConversionResults
from spikeformer.runs.results.data import DataResults
from spikeformer.runs.results.energy import EnergyResults
from spikeformer.runs.results.examples import ExampleResults
from spikeformer.runs.results.hardware import HardwareResults, PlanResults, VerificationResults
from spikeformer.runs.results.privacy import PrivacyResults
from spikeformer.runs.results.result import Result
from spikeformer.runs.results.run import RunResults, load_results
from spikeformer.runs.results.sample import SampleResults
from spikeformer.runs.results.tasks import TaskResults
from spikeformer.runs.results.test import TestResults
from spikeformer.runs.results.training import FitResults, PredictionResults
from spikeformer.runs.results.validation import TrainedValidationResults, ValidationResults

__all__ = [
    "BaselineResults",
    "ConversionResults",
    "DataResults",
    "EnergyResults",
    "ExampleResults",
    "FitResults",
    "HardwareResults",
    "PlanResults",
    "PredictionResults",
    "PrivacyResults",
    "Result",
    "RunResults",
    "SampleResults",
    "TaskResults",
    "TestResults",
    "TrainedValidationResults",
    "ValidationResults",
    "VerificationResults",
    "load_results",
]
