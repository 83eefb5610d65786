"""From a configuration to a run folder: stages, manifest, resume."""

from spikeformer.pipeline.build import Components, build
from spikeformer.pipeline.execute import run_pipeline
from spikeformer.pipeline.loggers import mlflow_logger, wandb_logger
from spikeformer.pipeline.run import Run
from spikeformer.pipeline.stages.compile import Compile
from spikeformer.pipeline.stages.convert import Convert
from spikeformer.pipeline.stages.deploy import Deploy
from spikeformer.pipeline.stages.fit import Fit
from spikeformer.pipeline.stages.plan import Plan
from spikeformer.pipeline.stages.predict import Predict
from spikeformer.pipeline.stages.profile import Profile
from spikeformer.pipeline.stages.recalibrate import RecalibrateBatchNorm
from spikeformer.pipeline.stages.report import Report
from spikeformer.pipeline.stages.stage import Stage
from spikeformer.pipeline.stages.test import Test
from spikeformer.pipeline.stages.validate import Validate, ValidateTrained
from spikeformer.pipeline.stages.verify import Verify
from spikeformer.runs import LoadedRun, LoadedSweep, Manifest, StageRecord, build_network, load_run

__all__ = [
    "Compile",
    "Components",
    "Convert",
    "Deploy",
    "Fit",
    "LoadedRun",
    "LoadedSweep",
    "Manifest",
    "Plan",
    "Predict",
    "Profile",
    "RecalibrateBatchNorm",
    "Report",
    "Run",
    "Stage",
    "StageRecord",
    "Test",
    "Validate",
    "ValidateTrained",
    "Verify",
    "build",
    "build_network",
    "load_run",
    "mlflow_logger",
    "run_pipeline",
    "wandb_logger",
]
