"""Research parts: injected by configuration, imported by nothing else.

Homeostatic thresholds, metaplastic synapses, and continual learning without forgetting.
"""

from spikeformer.research.adaptive_neuron import AdaptiveThresholdNeuron
from spikeformer.research.adaptive_threshold import AdaptiveSpikeThreshold, ThresholdState
from spikeformer.research.dense_network import DenseSpikingNetwork, MetaplasticHead
from spikeformer.research.ewc import ElasticWeightConsolidation
from spikeformer.research.fisher import empirical_fisher
from spikeformer.research.lifetime import LifetimeLearningSpikingTransformer
from spikeformer.research.metaplasticity import MetaplasticSynapses
from spikeformer.research.permuted_tasks import PermutedTasks
from spikeformer.research.protocol import TaskProtocol
from spikeformer.research.regularizers import EwcRegularizer, MetaplasticRegularizer
from spikeformer.research.scores import average_accuracy, forgetting
from spikeformer.research.split_tasks import SplitTasks
from spikeformer.research.task_incremental import TaskIncrementalModule
from spikeformer.research.tasks import TaskSequence

__all__ = [
    "AdaptiveSpikeThreshold",
    "AdaptiveThresholdNeuron",
    "DenseSpikingNetwork",
    "ElasticWeightConsolidation",
    "EwcRegularizer",
    "LifetimeLearningSpikingTransformer",
    "MetaplasticHead",
    "MetaplasticRegularizer",
    "MetaplasticSynapses",
    "PermutedTasks",
    "SplitTasks",
    "TaskIncrementalModule",
    "TaskProtocol",
    "TaskSequence",
    "ThresholdState",
    "average_accuracy",
    "empirical_fisher",
    "forgetting",
]
