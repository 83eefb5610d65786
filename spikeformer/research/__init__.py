"""Research parts: injected by configuration, imported by nothing else.

Homeostatic thresholds, metaplastic synapses, and learning task after task without forgetting.
"""

from spikeformer.research.adaptive_neuron import AdaptiveThresholdNeuron
from spikeformer.research.adaptive_threshold import AdaptiveSpikeThreshold, ThresholdState
from spikeformer.research.ewc import ElasticWeightConsolidation
from spikeformer.research.fisher import empirical_fisher
from spikeformer.research.lifetime import LifetimeLearningSpikingTransformer
from spikeformer.research.metaplastic_network import MetaplasticHead, MetaplasticNetwork
from spikeformer.research.metaplasticity import MetaplasticSynapses
from spikeformer.research.protocol import TaskProtocol
from spikeformer.research.regularizers import EwcRegularizer, MetaplasticRegularizer
from spikeformer.research.scores import average_accuracy, forgetting
from spikeformer.research.task_incremental import TaskIncrementalModule
from spikeformer.research.tasks import PermutedTasks, SplitTasks, TaskSequence

__all__ = [
    "AdaptiveSpikeThreshold",
    "AdaptiveThresholdNeuron",
    "ElasticWeightConsolidation",
    "EwcRegularizer",
    "LifetimeLearningSpikingTransformer",
    "MetaplasticHead",
    "MetaplasticNetwork",
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
