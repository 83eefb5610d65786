"""Training: LightningModules, losses, schedules, and the `SpikingTrainer` facade."""

from spikeformer.training.history import HistoryRecorder, TrainingHistory
from spikeformer.training.hybrid import HybridTrainer
from spikeformer.training.lamb import Lamb
from spikeformer.training.losses import LOSSES, get_loss
from spikeformer.training.module import SpikingModule
from spikeformer.training.muon import Muon
from spikeformer.training.plugins import (
    SharedBatchNorms,
    WholeCheckpoints,
    make_trainer,
    single_device_trainer,
)
from spikeformer.training.schedules import (
    SCHEDULES,
    cosine_with_warmup,
    one_cycle,
    steps_with_warmup,
)
from spikeformer.training.sharding import ShardedStrategy, is_sharded
from spikeformer.training.tasks import (
    ClassificationModule,
    LanguageModule,
    MultiLabelModule,
    RegressionModule,
)
from spikeformer.training.trainer import CALLBACKS, SpikingTrainer

__all__ = [
    "CALLBACKS",
    "LOSSES",
    "SCHEDULES",
    "ClassificationModule",
    "HistoryRecorder",
    "HybridTrainer",
    "Lamb",
    "LanguageModule",
    "MultiLabelModule",
    "Muon",
    "RegressionModule",
    "ShardedStrategy",
    "SharedBatchNorms",
    "SpikingModule",
    "SpikingTrainer",
    "TrainingHistory",
    "WholeCheckpoints",
    "cosine_with_warmup",
    "get_loss",
    "is_sharded",
    "make_trainer",
    "one_cycle",
    "single_device_trainer",
    "steps_with_warmup",
]
