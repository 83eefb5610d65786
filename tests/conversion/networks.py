"""Small networks with random weights, as users would bring them."""

from __future__ import annotations

import json

import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    DeiTConfig,
    DeiTModel,
    DistilBertConfig,
    DistilBertModel,
    RobertaConfig,
    RobertaModel,
    ViTConfig,
    ViTForImageClassification,
    ViTModel,
)

IMAGE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 16,
    "patch_size": 8,
}
TEXT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "vocab_size": 50,
}

PROCESSOR = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4], "size": {"height": 16}}
"""What an image processor says."""


def vit(**changes):
    return ViTModel(ViTConfig(**{**IMAGE, **changes})).eval()


def vit_classifier(**changes):
    return ViTForImageClassification(ViTConfig(**{**IMAGE, "num_labels": 5, **changes})).eval()


def deit():
    return DeiTModel(DeiTConfig(**IMAGE)).eval()


def bert():
    return BertModel(BertConfig(**TEXT)).eval()


def bert_classifier():
    return BertForSequenceClassification(BertConfig(**TEXT, num_labels=3)).eval()


def roberta():
    return RobertaModel(RobertaConfig(**TEXT)).eval()


def distilbert():
    config = DistilBertConfig(dim=32, n_layers=2, n_heads=4, hidden_dim=48, vocab_size=50)
    return DistilBertModel(config).eval()


def images(batch=3):
    return {"pixel_values": torch.randn(batch, 3, 16, 16)}


def sentences(batch=3, length=7):
    """Token ids above RoBERTa's padding token, the last sentence shorter than the others."""
    mask = torch.ones(batch, length, dtype=torch.long)
    mask[-1, length // 2 :] = 0
    return {"input_ids": torch.randint(2, 50, (batch, length)), "attention_mask": mask}


TRANSFORMERS = {
    "vit": (vit, images),
    "vit_classifier": (vit_classifier, images),
    "deit": (deit, images),
    "bert": (bert, sentences),
    "bert_classifier": (bert_classifier, sentences),
    "roberta": (roberta, sentences),
    "distilbert": (distilbert, sentences),
}


def save_processor(folder, **changes):
    """Write an image processor into a model's folder."""
    values = {**PROCESSOR, **changes}
    (folder / "preprocessor_config.json").write_text(json.dumps(values))
    return folder


def mlp():
    return nn.Sequential(
        nn.Linear(6, 16),
        nn.GELU(),
        nn.LayerNorm(16),
        nn.Linear(16, 16),
        nn.Tanh(),
        nn.Linear(16, 4),
    ).eval()


def relative(ours, theirs):
    return ((ours - theirs).abs().amax() / theirs.abs().amax().clamp(min=1e-9)).item()
