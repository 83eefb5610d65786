from __future__ import annotations

import torch
from torch import nn

from spikeformer.validation import ComprehensiveValidator
from spikeformer.validation.probe import make_probe
from tests.validation.networks import HARD, chain, vit


def test_what_does_not_say_what_it_takes_needs_a_probe():
    net = nn.Sequential(nn.Conv1d(2, 3, 1), HARD(threshold=1.0))
    (result,) = ComprehensiveValidator().validate_model(net)
    assert "Pass a batch" in result.remedy
    results = ComprehensiveValidator().validate_model(net, probe=torch.rand(2, 2, 9))
    assert "Pass a batch" not in str(results)


def test_make_probe_repeats():
    for model in (vit(), chain()):
        assert torch.equal(make_probe(model), make_probe(model))


def test_statistics_that_have_not_settled_do_not_silence_a_network():
    net = vit()
    norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.num_batches_tracked += 2
        norm.running_var.fill_(1e4)
    assert ComprehensiveValidator().validate_model(net) == []
    for norm in norms:
        norm.num_batches_tracked += 100
    assert "never fires" in str(ComprehensiveValidator().validate_model(net))
