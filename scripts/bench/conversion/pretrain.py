"""Train the small models of `transformers` that the conversion benchmark converts.

python scripts/bench/conversion/pretrain.py vit --data /data/cifar10 --output outputs/vit
python scripts/bench/conversion/pretrain.py bert --data /data/sst2 --output outputs/bert
python scripts/bench/conversion/pretrain.py digits --output outputs/digits-vit

One CPU core trains the ViT on CIFAR-10 in about half an hour and the BERT on SST-2 in minutes.
The digits, for which a ViT of two small blocks trains in a minute, come with scikit-learn.
The folder holds what `save_pretrained` writes: weights, configuration, and image processor or
tokenizer. It can be loaded anywhere, as `model.pretrained=FOLDER` does.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers.processors import TemplateProcessing
from torch.optim.lr_scheduler import OneCycleLR
from tqdm import tqdm
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

from spikeformer.data import DigitsDataModule, ImageDataModule, TextDataModule

IMAGE_MEAN = IMAGE_STD = 0.5


def train_vit(data_path: str, output: Path, epochs: int) -> float:
    """Train a ViT with patches of 4 x 4 pixels on CIFAR-10; return its test accuracy."""
    data = ImageDataModule(
        path=data_path,
        val_fraction=0.0,
        batch_size=64,
        num_classes=10,
        crop_padding=2,
        horizontal_flip=True,
    )
    data.setup()
    names = dict(enumerate(data.class_names))
    config = ViTConfig(
        image_size=32,
        patch_size=4,
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=256,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=10,
        id2label=names,
        label2id={name: index for index, name in names.items()},
    )
    model = ViTForImageClassification(config)
    generator = torch.Generator().manual_seed(0)

    def prepare(inputs, labels, *, training: bool):
        if training:
            inputs, labels = data.augment((inputs, labels), generator)
        return {"pixel_values": (inputs - IMAGE_MEAN) / IMAGE_STD}, labels

    accuracy = fit(model, data, prepare, epochs, learning_rate=1.5e-3)
    model.save_pretrained(output)
    size = {"height": 32, "width": 32}
    mean = [IMAGE_MEAN] * 3
    ViTImageProcessor(size=size, image_mean=mean, image_std=[IMAGE_STD] * 3).save_pretrained(output)
    return accuracy


def train_digits(data_path: str | None, output: Path, epochs: int) -> float:
    """Train a ViT with two blocks on scikit-learn's digits; return its test accuracy."""
    data = DigitsDataModule(val_fraction=0.0)
    data.setup()
    config = ViTConfig(
        image_size=8,
        patch_size=2,
        num_channels=1,
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=96,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=10,
    )
    model = ViTForImageClassification(config)

    def prepare(inputs, labels, *, training: bool):
        return {"pixel_values": (inputs - IMAGE_MEAN) / IMAGE_STD}, labels

    accuracy = fit(model, data, prepare, epochs, learning_rate=3e-3)
    model.save_pretrained(output)
    size = {"height": 8, "width": 8}
    ViTImageProcessor(size=size, image_mean=[IMAGE_MEAN], image_std=[IMAGE_STD]).save_pretrained(
        output
    )
    return accuracy


def train_bert(data_path: str, output: Path, epochs: int) -> float:
    """Train a BERT with four layers on SST-2; return its validation accuracy."""
    tokenizer = bert_tokenizer(data_path, output / "cache")
    tokenizer.save_pretrained(output)
    data = TextDataModule(
        path=data_path,
        val_fraction=0.0,
        batch_size=128,
        num_classes=2,
        tokenizer=str(output),
        vocab_size=len(tokenizer),
        max_length=64,
    )
    data.setup()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=64,
        hidden_dropout_prob=0.2,
        pad_token_id=tokenizer.pad_token_id,
        num_labels=2,
    )
    model = BertForSequenceClassification(config)

    def prepare(inputs, labels, *, training: bool):
        mask = inputs["mask"].long()
        return {"input_ids": inputs["input_ids"], "attention_mask": mask}, labels

    accuracy = fit(model, data, prepare, epochs, learning_rate=5e-4)
    model.save_pretrained(output)
    return accuracy


def bert_tokenizer(data_path: str, cache: Path) -> PreTrainedTokenizerFast:
    """Learn the words of the sentences; put a token before and one behind each sentence."""
    data = TextDataModule(
        path=data_path, val_fraction=0.0, num_classes=2, tokenizer_kind="word", cache_dir=str(cache)
    )
    data.setup()
    tokenizer = data.encoder.tokenizer
    ends = [(token, tokenizer.token_to_id(token)) for token in ("<bos>", "<eos>")]
    tokenizer.post_processor = TemplateProcessing(single="<bos> $A <eos>", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        cls_token="<bos>",
        sep_token="<eos>",
        bos_token="<bos>",
        eos_token="<eos>",
        model_max_length=64,
    )


def fit(model, data, prepare, epochs: int, learning_rate: float) -> float:
    """Train with AdamW and one cycle of the learning rate; return the test accuracy."""
    loader = data.train_dataloader()
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.05)
    schedule = OneCycleLR(
        optimizer, learning_rate, total_steps=epochs * len(loader), pct_start=0.15
    )
    for epoch in range(epochs):
        loader.sampler.set_epoch(epoch)
        model.train()
        progress = tqdm(loader, desc=f"epoch {epoch + 1} of {epochs}", mininterval=5)
        for batch in progress:
            inputs, labels = prepare(*batch, training=True)
            loss = F.cross_entropy(model(**inputs).logits, labels)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            progress.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
        print(f"epoch {epoch + 1}: test accuracy {accuracy(model, data, prepare):.2%}", flush=True)
    return accuracy(model, data, prepare)


@torch.no_grad()
def accuracy(model, data, prepare) -> float:
    """Return the share of test samples whose class the model finds."""
    model.eval()
    right = total = 0
    for batch in data.test_dataloader():
        inputs, labels = prepare(*batch, training=False)
        right += int((model(**inputs).logits.argmax(-1) == labels).sum())
        total += len(labels)
    return right / total


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", choices=["vit", "bert", "digits"])
    parser.add_argument("--data", help="folder with parquet files; the digits need none")
    parser.add_argument("--output", type=Path, required=True, help="folder for the model")
    parser.add_argument("--epochs", type=int, help="9 for the ViT, 3 for the BERT, 40 on digits")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    kinds = {"vit": (train_vit, 9), "bert": (train_bert, 3), "digits": (train_digits, 40)}
    train, epochs = kinds[arguments.model]
    if arguments.data is None and arguments.model != "digits":
        parser.error("name the folder with the data: --data FOLDER")
    arguments.output.mkdir(parents=True, exist_ok=True)
    result = train(arguments.data, arguments.output, arguments.epochs or epochs)
    print(f"{arguments.output}: test accuracy {result:.2%}")


if __name__ == "__main__":
    main()
