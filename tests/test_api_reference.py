"""The public contract: names, order and defaults of arguments, as the API reference gives them."""

from __future__ import annotations

import dataclasses
import inspect
import json
import subprocess
import sys

import pytest
import torch

import spikeformer
from spikeformer.caching import (
    ModelStateCache,
    TensorCache,
    cached,
    get_computation_cache,
    get_tensor_cache,
)
from spikeformer.compliance import ComplianceAuditor, PrivacyManager
from spikeformer.concurrency import (
    AsyncSpikingInference,
    ParallelSpikingTrainer,
    parallel_spike_encoding,
)
from spikeformer.config import ConcurrencyConfig, FusionConfig, SpikingConfig
from spikeformer.conversion import ConversionPipeline, SpikeformerConverter
from spikeformer.cross_platform import (
    CrossPlatformManager,
    PlatformDetector,
    check_platform_compatibility,
    get_platform_info,
    optimize_config_for_platform,
)
from spikeformer.encoding import PoissonCoding, RateCoding, SpikeEncoder
from spikeformer.error_handling import (
    ConversionError,
    HardwareCompatibilityError,
    NeuromorphicError,
    SpikingDynamicsError,
    error_context,
)
from spikeformer.fusion import CrossModalAttentionFusion, MultiModalSpikeTransformer
from spikeformer.hardware import Loihi2Deployer, NeuromorphicDeployer, SpiNNakerDeployer
from spikeformer.i18n import (
    LocalizedError,
    TranslationManager,
    format_energy,
    format_percentage,
    format_time,
    set_locale,
    t,
)
from spikeformer.models import SpikingAttention, SpikingTransformer
from spikeformer.multimodal import AudioSpikeEncoder, TextSpikeEncoder, VisionSpikeEncoder
from spikeformer.neurons import AdLifNeuron, LifNeuron, SpikingNeuron
from spikeformer.profiling import EnergyProfiler, PowerMonitor
from spikeformer.research import (
    AdaptiveSpikeThreshold,
    LifetimeLearningSpikingTransformer,
    MetaplasticSynapses,
)
from spikeformer.training import HybridTrainer, SpikingTrainer, TrainingHistory
from spikeformer.validation import ComprehensiveValidator, ValidationLevel

REQUIRED = inspect.Parameter.empty

SIGNATURES = {
    SpikingTransformer: {
        "vocab_size": REQUIRED,
        "d_model": 512,
        "nhead": 8,
        "num_layers": 6,
        "timesteps": 32,
        "threshold": 1.0,
    },
    SpikingAttention: {
        "embed_dim": REQUIRED,
        "num_heads": REQUIRED,
        "timesteps": 32,
        "dropout": 0.1,
        "sparsity_target": 0.1,
    },
    LifNeuron: {
        "threshold": 1.0,
        "tau_mem": 20.0,
        "reset": "subtract",
        "surrogate_type": "fast_sigmoid",
    },
    AdLifNeuron: {"threshold": 1.0, "tau_mem": 20.0, "tau_adp": 200.0, "beta": 0.1},
    EnergyProfiler: {"backend": "simulation"},
    EnergyProfiler.measure: {},
    EnergyProfiler.compare: {"models": REQUIRED},
    PowerMonitor: {"backend": "loihi2", "sampling_rate_hz": 1000},
    PowerMonitor.record: {},
    RateCoding: {"timesteps": 32},
    RateCoding.encode: {"x": REQUIRED},
    PoissonCoding: {"timesteps": 32, "max_rate": 100.0},
    MultiModalSpikeTransformer: {
        "fusion_config": REQUIRED,
        "modality_dims": REQUIRED,
        "num_classes": REQUIRED,
        "num_layers": 6,
    },
    CrossModalAttentionFusion.forward: {"modality_inputs": REQUIRED, "modality_mask": None},
    VisionSpikeEncoder: {"embed_dim": REQUIRED, "timesteps": REQUIRED},
    AudioSpikeEncoder: {"embed_dim": REQUIRED, "timesteps": REQUIRED},
    TextSpikeEncoder: {"vocab_size": REQUIRED, "embed_dim": REQUIRED, "timesteps": REQUIRED},
    NeuromorphicDeployer.compile: {"model": REQUIRED},
    NeuromorphicDeployer.deploy: {"compiled_model": REQUIRED},
    Loihi2Deployer.compile: {"model": REQUIRED},
    SpiNNakerDeployer.deploy: {"compiled_model": REQUIRED},
    SpikingTrainer: {
        "model": REQUIRED,
        "optimizer": "AdamW",
        "loss_fn": "spike_count_loss",
        "learning_rate": 1e-4,
    },
    SpikingTrainer.fit: {
        "train_loader": REQUIRED,
        "val_loader": REQUIRED,
        "epochs": 100,
        "callbacks": None,
    },
    AdaptiveSpikeThreshold: {
        "initial_threshold": 1.0,
        "adaptation_rate": 0.1,
        "window_size": 100,
    },
    MetaplasticSynapses: {
        "input_size": REQUIRED,
        "output_size": REQUIRED,
        "metaplastic_rate": 0.01,
    },
    LifetimeLearningSpikingTransformer.begin_new_task: {},
    LifetimeLearningSpikingTransformer.estimate_parameter_importance: {
        "dataloader": REQUIRED,
        "criterion": REQUIRED,
    },
    LifetimeLearningSpikingTransformer.ewc_loss: {},
    SpikingConfig: {
        "timesteps": 32,
        "threshold": 1.0,
        "neuron_model": "LIF",
        "spike_encoding": "rate",
        "surrogate_gradient": "fast_sigmoid",
        "tau_mem": 20.0,
        "tau_adp": 200.0,
        "beta": 0.1,
        "dropout": 0.1,
        "layer_norm": True,
    },
    FusionConfig: {
        "fusion_type": "cross_attention",
        "shared_dim": 512,
        "num_heads": 8,
        "dropout": 0.1,
        "temperature": 1.0,
        "timesteps": 32,
    },
    ConcurrencyConfig: {
        "max_workers": 4,
        "batch_size_per_worker": 32,
        "enable_data_parallelism": True,
        "enable_model_parallelism": False,
        "async_data_loading": True,
        "prefetch_factor": 2,
    },
    error_context: {"component": REQUIRED, "operation": REQUIRED},
    AsyncSpikingInference: {"model": REQUIRED, "config": REQUIRED},
    AsyncSpikingInference.submit_inference: {"inputs": REQUIRED, "callback": None},
    parallel_spike_encoding: {
        "inputs": REQUIRED,
        "encoding_type": REQUIRED,
        "timesteps": REQUIRED,
        "num_workers": 4,
    },
    ComprehensiveValidator: {"validation_level": ValidationLevel.STANDARD},
    ComprehensiveValidator.validate_model: {"model": REQUIRED},
    ComprehensiveValidator.validate_input_data: {"data": REQUIRED},
    ComprehensiveValidator.validate_hardware_compatibility: {"hardware_type": REQUIRED},
    CrossPlatformManager.get_platform_info: {},
    CrossPlatformManager.get_optimal_config: {"base_config": REQUIRED},
    CrossPlatformManager.check_hardware_compatibility: {"requirements": REQUIRED},
    PlatformDetector.detect_platform: {},
    get_platform_info: {},
    optimize_config_for_platform: {"base_config": REQUIRED},
    check_platform_compatibility: {"requirements": REQUIRED},
    SpikeformerConverter: {
        "timesteps": 32,
        "threshold": 1.0,
        "spike_encoding": "rate",
        "neuron_model": "LIF",
    },
    SpikeformerConverter.convert: {"ann_model": REQUIRED, "example_inputs": None},
    ConversionPipeline: {
        "calibration_data": REQUIRED,
        "conversion_mode": "layer_wise",
        "optimization_target": "accuracy",
    },
    ConversionPipeline.convert: {
        "ann_model": REQUIRED,
        "calibration_samples": 1000,
        "fine_tune_epochs": 5,
    },
    HybridTrainer: {
        "model": REQUIRED,
        "ann_epochs": 50,
        "snn_epochs": 20,
        "surrogate_gradient": "fast_sigmoid",
    },
    HybridTrainer.train: {
        "train_loader": REQUIRED,
        "val_loader": REQUIRED,
        "teacher_model": None,
        "distillation_weight": 0.5,
    },
    ParallelSpikingTrainer.setup_distributed: {"rank": REQUIRED, "world_size": REQUIRED},
    ParallelSpikingTrainer.train_step_parallel: {
        "batch_data": REQUIRED,
        "labels": REQUIRED,
        "optimizer": REQUIRED,
        "criterion": REQUIRED,
    },
    get_tensor_cache: {},
    get_computation_cache: {},
    TensorCache.put_tensor: {"key": REQUIRED, "tensor": REQUIRED},
    TensorCache.get_tensor: {"key": REQUIRED},
    cached: {"ttl": None},
    ModelStateCache.cache_model_state: {"model": REQUIRED, "epoch": REQUIRED, "step": REQUIRED},
    ModelStateCache.restore_model_state: {"model": REQUIRED, "key": REQUIRED},
    t: {},
    set_locale: {"locale": REQUIRED},
    format_energy: {"energy_uj": REQUIRED, "decimals": 2},
    format_time: {"seconds": REQUIRED, "decimals": 2},
    format_percentage: {"fraction": REQUIRED, "decimals": 1},
    TranslationManager.translate: {"key": REQUIRED, "locale": None},
    TranslationManager.add_custom_translations: {"locale": REQUIRED, "translations": REQUIRED},
    TranslationManager.get_available_locales: {},
    LocalizedError: {},
    PrivacyManager: {"organization_name": REQUIRED, "dpo_contact": REQUIRED},
    PrivacyManager.register_data_subject: {"subject": REQUIRED},
    PrivacyManager.record_consent: {"subject_id": REQUIRED, "purposes": REQUIRED},
    PrivacyManager.handle_data_subject_request: {
        "request_type": REQUIRED,
        "subject_id": REQUIRED,
    },
    ComplianceAuditor.assess_gdpr_compliance: {},
    ComplianceAuditor.generate_compliance_report: {"framework": REQUIRED},
}

# Arguments that the reference requires and that may be left out here.
OPTIONAL_HERE = {("SpikingTrainer.fit", "val_loader"), ("HybridTrainer.train", "val_loader")}


@pytest.mark.parametrize("function", SIGNATURES, ids=lambda f: f.__qualname__)
def test_signature(function):
    expected = SIGNATURES[function]
    # Which of a class's `__new__` and `__init__` counts differs between releases of Python.
    called = function.__init__ if isinstance(function, type) else function
    found = dict(inspect.signature(called).parameters)
    found.pop("self", None)
    positional = {n: p for n, p in found.items() if p.kind is p.POSITIONAL_OR_KEYWORD}
    assert list(positional) == list(expected)
    for name, default in expected.items():
        if (function.__qualname__, name) not in OPTIONAL_HERE:
            assert positional[name].default == default, name
            assert type(positional[name].default) is type(default), name
    # Whatever is added can be left out.
    for name, parameter in found.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert parameter.default is not REQUIRED, name


def test_bases():
    assert issubclass(SpikingTransformer, torch.nn.Module)
    assert issubclass(LifetimeLearningSpikingTransformer, SpikingTransformer)
    assert issubclass(SpikingAttention, torch.nn.Module)
    assert issubclass(LifNeuron, SpikingNeuron)
    assert issubclass(AdLifNeuron, LifNeuron)
    assert issubclass(RateCoding, SpikeEncoder)
    assert issubclass(PoissonCoding, SpikeEncoder)
    assert all(map(dataclasses.is_dataclass, (SpikingConfig, FusionConfig, ConcurrencyConfig)))
    for error in (HardwareCompatibilityError, ConversionError, SpikingDynamicsError):
        assert issubclass(error, NeuromorphicError)


def test_every_name_at_top_level_is_the_one_of_its_module():
    namespace: dict[str, object] = {}
    exec("from spikeformer import *", namespace)
    for name in spikeformer.__all__:
        assert namespace[name] is getattr(spikeformer, name)
        assert name in dir(spikeformer)
    for kind in (SpikingTransformer, RateCoding, PoissonCoding, LifNeuron, AdLifNeuron):
        assert namespace[kind.__name__] is kind
    with pytest.raises(AttributeError, match="no attribute 'SpikingTransfomer'"):
        _ = spikeformer.SpikingTransfomer


def modules_after(statement: str) -> set[str]:
    code = f"import sys, json\n{statement}\nprint(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_importing_the_package_imports_nothing_heavy():
    before, after = modules_after("pass"), modules_after("import spikeformer, importlib, typing")
    added = after - before
    assert "spikeformer" in added
    assert not {"torch", "numpy", "hydra", "omegaconf", "lightning", "pandas", "wandb"} & added
    assert len(added) < 100


@pytest.mark.slow
def test_neurons_do_not_import_what_they_do_not_need():
    added = modules_after("from spikeformer.neurons import LifNeuron")
    assert not {"lightning", "hydra", "wandb", "pandas", "matplotlib"} & added


def test_the_examples_of_the_reference():
    model = SpikingTransformer(vocab_size=100, d_model=48, nhead=12, num_layers=2, timesteps=32)
    outputs = model(torch.randint(100, (2, 5)))
    assert outputs.shape == (2, 32, 5, 48)
    neuron = LifNeuron(threshold=1.0, tau_mem=20.0)
    assert neuron(torch.rand(2, 32, 7)).shape == (2, 32, 7)
    data = torch.rand(2, 3, 4)
    assert RateCoding(timesteps=32).encode(data).shape == (2, 32, 3, 4)
    assert PoissonCoding(timesteps=32, max_rate=50.0).encode(data).shape == (2, 32, 3, 4)
    assert AdLifNeuron(1.0, 20.0, 200.0, 0.1, reset="zero").reset == "zero"


def test_the_deployers_of_the_reference():
    assert issubclass(Loihi2Deployer, NeuromorphicDeployer)
    assert Loihi2Deployer().target.name == "loihi2"
    assert SpiNNakerDeployer(board_config="spin2-48chip").target.name == "spinnaker"


def test_the_trainer_of_the_reference():
    from tests.training.toys import QUIET, toy_loaders, toy_net

    trainer = SpikingTrainer(toy_net(), "AdamW", "spike_count_loss", 1e-2, **QUIET)
    history = trainer.fit(*toy_loaders(), 1, ["firing_rate"])
    assert isinstance(history, TrainingHistory)
