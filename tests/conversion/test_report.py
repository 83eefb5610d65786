from __future__ import annotations

from spikeformer.conversion import SpikeformerConverter
from tests.conversion.networks import vit


def test_the_report_lists_every_module():
    converter = SpikeformerConverter(timesteps=4)
    snn = converter.convert(vit())
    report = converter.report()
    assert {module.path for module in report.modules} == set(dict(snn.original.named_modules()))
    status = {module.path: module.status for module in report.modules}
    assert status["embeddings.patch_embeddings.projection"] == "floating"
    assert status["layers.0.attention"] == status["layers.1.mlp.fc2"] == "converted"
    assert status["layernorm"] == "floating"
    assert status["layers"] == "unused"
    assert "layers.0.mlp.fc1" in str(report)
    assert "T = 4" in str(report)
