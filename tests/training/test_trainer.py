from __future__ import annotations

import copy

import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, LearningRateMonitor
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from spikeformer.error_handling import ArgumentError
from spikeformer.models import CausalLMHead, SpikingNetwork
from spikeformer.training import (
    CALLBACKS,
    LanguageModule,
    MultiLabelModule,
    RegressionModule,
    SpikingModule,
    SpikingTrainer,
    TrainingHistory,
)
from spikeformer.training.callbacks import (
    BestAndLast,
    EpochSeed,
    FiringRateMonitor,
    SpikeRegularization,
)
from tests.models.test_spiking_transformer import ids, transformer
from tests.training.toys import QUIET, loader, separable, spiking_trainer, toy_loaders, toy_net


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("optimizer", ["AdamW", "SGD"])
@pytest.mark.parametrize("loss_fn", ["spike_count_loss", "cross_entropy", "tet", "mse_rate"])
def test_spiking_trainer_learns_to_tell_two_classes_apart(optimizer, loss_fn):
    net = toy_net()
    lr = 0.5 if optimizer == "SGD" else 0.05
    trainer = spiking_trainer(net, optimizer=optimizer, loss_fn=loss_fn, learning_rate=lr)
    train, val = toy_loaders(shuffle=True)
    history = trainer.fit(train, val, epochs=15)
    assert isinstance(history, TrainingHistory)
    assert len(history) == 15
    assert history[-1]["val/accuracy"] > 0.95
    assert history[-1]["train/loss"] < history[0]["train/loss"]
    x, y = separable(32, seed=1)
    with torch.no_grad():  # the model itself was trained
        right = (net(x).sum(1).argmax(1) == y).float().mean().item()
    assert right == pytest.approx(history[-1]["val/accuracy"])


def test_spiking_trainer_history_to_pandas_plot_and_save(tmp_path):
    history = spiking_trainer().fit(*toy_loaders(), epochs=2)
    assert {"epoch", "train/loss", "val/accuracy", "lr"} <= set(history.to_pandas().columns)
    assert {axes.get_title() for axes in history.plot().axes} >= {"loss", "accuracy"}
    history.save(tmp_path / "metrics.csv")
    assert (tmp_path / "metrics.csv").is_file()


def test_spiking_trainer_validation_is_optional():
    history = spiking_trainer().fit(toy_loaders()[0], None, 1, ["early_stopping"])
    assert not any(name.startswith("val/") for name in history[0])


def test_spiking_trainer_callbacks_by_name(tmp_path):
    assert set(CALLBACKS) == {
        "early_stopping",
        "checkpoint",
        "spike_regularization",
        "firing_rate",
        "lr_monitor",
    }
    trainer = spiking_trainer(logger=CSVLogger(tmp_path))
    chosen = []
    trainer._callback, make = lambda *a: chosen.append(make(*a)) or chosen[-1], trainer._callback
    history = trainer.fit(*toy_loaders(), 2, list(CALLBACKS))
    assert [type(callback) for callback in chosen] == [
        EarlyStopping,
        BestAndLast,
        SpikeRegularization,
        FiringRateMonitor,
        LearningRateMonitor,
    ]
    for callback in chosen[:2]:
        assert (callback.monitor, callback.mode) == ("val/accuracy", "max")
    assert {"train/spike_regularization", "val/firing_rate"} <= set(history[-1])
    assert list(tmp_path.rglob("last.ckpt"))


def test_spiking_trainer_early_stopping_stops():
    frozen = spiking_trainer(learning_rate=1e-12)
    history = frozen.fit(*toy_loaders(), 50, ["early_stopping"])
    assert len(history) == 11  # patience 10


def test_spiking_trainer_callbacks_of_ones_own():
    seen = []

    class Mine(EpochSeed):
        def on_train_epoch_start(self, *args):
            seen.append(args)

    spiking_trainer().fit(*toy_loaders(), 2, [Mine(0), "firing_rate"])
    assert len(seen) == 2


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_spiking_trainer_resuming_gives_the_loss_curve_of_the_whole_run(tmp_path):
    def run(name, epochs, ckpt_path=None):
        trainer = spiking_trainer(toy_net(dropout=0.3), default_root_dir=tmp_path / name)
        train, val = toy_loaders(shuffle=True)
        history = trainer.fit(train, val, epochs, ["checkpoint", EpochSeed(3)], ckpt_path=ckpt_path)
        return [(row["train/loss"], row["val/loss"], row["val/accuracy"]) for row in history]

    whole, half = run("whole", 4), run("half", 2)
    resumed = run("half", 4, str(tmp_path / "half" / "checkpoints" / "last.ckpt"))
    assert half == whole[:2]
    assert resumed == whole


@pytest.mark.parametrize(
    "options",
    [{"gradient_clip_val": 1.0}, {"accumulate_grad_batches": 2}, {"precision": "bf16-mixed"}],
)
def test_spiking_trainer_options_of_lightning_reach_its_trainer(options):
    history = spiking_trainer(learning_rate=0.05, **options).fit(*toy_loaders(), 10)
    assert history[-1]["val/accuracy"] > 0.9


def test_spiking_trainer_loader_may_have_no_length():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(zip(*separable(32), strict=True))

    history = spiking_trainer().fit(DataLoader(Stream(), 16), toy_loaders()[1], 2)
    assert len(history) == 2


@pytest.mark.parametrize(
    ("loss_fn", "kind"),
    [
        ("binary_cross_entropy", MultiLabelModule),
        ("mse", RegressionModule),
        ("next_token", LanguageModule),
        (lambda outputs, target: outputs.mean(), SpikingModule),
    ],
)
def test_spiking_trainer_loss_chooses_the_metrics(loss_fn, kind):
    assert type(spiking_trainer(loss_fn=loss_fn).module) is kind


def test_spiking_trainer_trains_a_language_model():
    net = SpikingNetwork(transformer(causal=True, norm="layer"), CausalLMHead(8, 11))
    data = loader(ids(8, 6), ids(8, 6), 4)
    history = spiking_trainer(net, loss_fn="next_token").fit(data, data, 1)
    assert {"val/perplexity", "val/accuracy"} <= set(history[0])


def test_spiking_trainer_loss_of_ones_own():
    def loss(outputs, target):
        return torch.nn.functional.multi_margin_loss(outputs.mean(1), target)

    history = spiking_trainer(loss_fn=loss, learning_rate=0.05).fit(*toy_loaders(), 5)
    assert history[-1]["val/loss"] < 0.5 * history[0]["train/loss"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"learning_rate": 0.0}, r"`learning_rate`"),
        ({"optimizer": "adamw"}, r"`optimizer`.*'AdamW'"),
        ({"optimizer": "Optimizer"}, r"`optimizer`"),
        ({"loss_fn": "hinge"}, r"`loss_fn`.*'spike_count_loss'"),
        ({"max_epochs": 3}, r"`trainer_kwargs`.*'max_epochs'.*Tell `fit`"),
    ],
)
def test_spiking_trainer_bad_arguments(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        spiking_trainer(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"callbacks": ["earlystopping"]}, r"`callbacks`.*'early_stopping'.*'earlystopping'"),
        ({"callbacks": ["lr_monitor"]}, r"`callbacks`.*logger"),
        ({"epochs": 0}, r"`epochs`"),
        ({"train_loader": []}, r"`train_loader`.*at least one batch"),
        ({"val_loader": []}, r"`val_loader`.*at least one batch"),
    ],
)
def test_spiking_trainer_bad_arguments_of_fit(arguments, message):
    train, val = toy_loaders()
    trainer = spiking_trainer()
    with pytest.raises(ArgumentError, match=message):
        trainer.fit(**{"train_loader": train, "val_loader": val, "epochs": 1, **arguments})
    assert QUIET.items() <= trainer.trainer_kwargs.items()


def test_spiking_trainer_fit_on_the_dicts_of_a_hugging_face_collator():
    inputs, target = separable(64)

    class Classifier(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = toy_net()

        def forward(self, pixel_values):
            return self.net(pixel_values)

    def collate(samples):
        pixels, labels = zip(*samples, strict=True)
        return {"pixel_values": torch.stack(pixels), "labels": torch.stack(labels)}

    def fit(model, collate_fn):
        data = torch.utils.data.DataLoader(
            torch.utils.data.TensorDataset(inputs, target), 16, collate_fn=collate_fn
        )
        torch.manual_seed(0)
        return spiking_trainer(model).fit(data, data, epochs=2)

    torch.manual_seed(1)
    dicts = Classifier()
    pairs = copy.deepcopy(dicts.net)
    by_name, by_place = fit(dicts, collate), fit(pairs, None)
    assert [row["train/loss"] for row in by_name] == [row["train/loss"] for row in by_place]
    assert [row["val/accuracy"] for row in by_name] == [row["val/accuracy"] for row in by_place]


def test_labels_of_any_type_and_images_of_bytes_train_alike():
    """The same images and labels, as most people have them and as arrays often are."""
    images = torch.randint(0, 256, (8, 1, 2, 2), generator=torch.Generator().manual_seed(0))
    labels = torch.arange(8) % 2

    def losses(inputs, target):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Flatten(), toy_net())
        trainer = SpikingTrainer(model, learning_rate=0.1, **QUIET)
        loader = DataLoader(TensorDataset(inputs, target), batch_size=4)
        return [row["train/loss"] for row in trainer.fit(loader, epochs=2)]

    expected = losses(images / 255.0, labels)
    assert losses(images.to(torch.uint8), labels.int()[:, None]) == expected
    assert losses(images / 255.0, labels.float()) == expected


def test_without_validation_the_training_loss_is_watched():
    loader = DataLoader(TensorDataset(torch.rand(8, 4), torch.arange(8) % 2), batch_size=4)
    for validation, options in ((None, {}), (loader, {"limit_val_batches": 0})):
        trainer = SpikingTrainer(toy_net(), **QUIET, **options)
        history = trainer.fit(loader, validation, epochs=2, callbacks=["early_stopping"])
        assert len(history) == 2


def test_evaluate_and_predict_agree_with_the_model_itself():
    net = toy_net()
    trainer = spiking_trainer(net, loss_fn="cross_entropy")
    _, val = toy_loaders()
    x, y = (torch.cat(parts) for parts in zip(*val, strict=True))
    with torch.no_grad():
        expected = net.eval()(x).mean(dim=1)
    outputs = trainer.predict(val)
    torch.testing.assert_close(outputs, expected)
    found = trainer.evaluate(val)
    assert found["accuracy"] == pytest.approx((expected.argmax(1) == y).float().mean().item())
    assert found["loss"] > 0
    with pytest.raises(ArgumentError, match="at least one batch"):
        trainer.predict(DataLoader(TensorDataset(x[:0], y[:0])))


def test_save_writes_what_from_pretrained_reads(tmp_path):
    net = SpikingNetwork(transformer(), CausalLMHead(8, 11)).eval()
    trainer = SpikingTrainer(net, loss_fn="next_token", **QUIET)
    again = SpikingNetwork.from_pretrained(trainer.save(tmp_path / "net"))
    tokens = ids(2, 5)
    assert torch.equal(again(tokens), net(tokens))
    with pytest.raises(ArgumentError, match="a MultiModalNetwork or a converted network"):
        spiking_trainer(torch.nn.Linear(2, 2)).save(tmp_path / "other")
