"""The distance between a student and its teacher."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from spikeformer.training.callbacks.distillation import Teacher
from tests.training.callbacks.test_hybrid import ConstantLogits
from tests.training.toys import num_hooks, toy_net


def test_teacher_logits_loss_is_hintons():
    teacher = Teacher(ConstantLogits([1.0, 2.0]), 0.3, temperature=4.0)
    student = nn.Linear(2, 2)
    wrapped = nn.Sequential(student, nn.Unflatten(1, (1, 2)))
    teacher.watch([wrapped], "", torch.device("cpu"))
    outputs = wrapped(torch.rand(5, 2))[:, 0]
    p = torch.softmax(torch.tensor([1.0, 2.0]) / 4, 0)
    q = torch.softmax(outputs / 4, 1)
    expected = 0.3 * 16 * (p * (p.log() - q.log())).sum(dim=1).mean()
    torch.testing.assert_close(teacher.logits_loss(), expected)
    teacher.stop()
    assert num_hooks(wrapped) == 0


def test_teacher_features_loss_is_zero_up_to_rotation():
    net = toy_net()
    teacher_net = nn.Sequential(nn.Identity(), nn.Linear(4, 2))
    teacher = Teacher(teacher_net, feature_weight=1.0, layer="0")
    teacher.watch([net], "embed", torch.device("cpu"))
    x = torch.rand(6, 4)
    with torch.no_grad():  # rows of the embedding are orthonormal: similarities are kept
        net.embed.weight.copy_(torch.linalg.qr(torch.randn(16, 4))[0])
        net.embed.bias.zero_()
    net.train()(x)
    assert teacher.features_loss().item() == pytest.approx(0, abs=1e-10)
    with torch.no_grad():
        net.embed.weight[:, 0] = 0
    net(x)
    assert teacher.features_loss().item() > 1e-4
    teacher.stop()
