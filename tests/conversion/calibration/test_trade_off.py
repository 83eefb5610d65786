from __future__ import annotations

from tests.conversion.calibration.data import loader, quick


def test_targets_make_different_choices(network):
    choices = {}
    for target in ("accuracy", "energy", "latency"):
        pipeline = quick(optimization_target=target)
        snn = pipeline.convert(network, fine_tune_epochs=0)
        choices[target] = snn.choice
        row = {key: snn.choice[key] for key in snn.trade_off[0]}
        assert row in snn.trade_off
        assert (snn.timesteps, snn.coding.levels) == (row["timesteps"], row["levels"])
        assert pipeline.report().choice == snn.choice
        assert pipeline.report().trade_off
        assert pipeline.evaluate_conversion(snn, loader()).last.agreement >= 0.98
    assert choices["energy"]["energy_uj"] < choices["accuracy"]["energy_uj"]
    assert choices["latency"]["timesteps"] < choices["accuracy"]["timesteps"]
    assert choices["energy"]["levels"] < 8 or choices["energy"]["timesteps"] < 8
