"""What came out of a run: one frozen dataclass for each kind of result, with its file."""

from spikeformer.runs.results.hardware import HardwareResults, VerificationResults
from spikeformer.runs.results.result import Result
from spikeformer.runs.results.run import EnergyResults, RunResults, load_results
from spikeformer.runs.results.sample import SampleResults
from spikeformer.runs.results.test import TestResults

__all__ = [
    "EnergyResults",
    "HardwareResults",
    "Result",
    "RunResults",
    "SampleResults",
    "TestResults",
    "VerificationResults",
    "load_results",
]
