"""Which parameters decay, and how the learning rate moves."""

from __future__ import annotations

import pytest

from tests.detectors.conftest import small_detector
from tristream.errors import ConfigError
from tristream.training.optim import OptimConfig, build_optimiser, set_learning_rate


def test_only_matrices_and_kernels_of_layers_decay() -> None:
    detector = small_detector("multistream")
    optimiser = build_optimiser([detector], OptimConfig(weight_decay=0.1))
    decayed = {id(p) for group in optimiser.param_groups if group["weight_decay"] > 0 for p in group["params"]}
    names = {name: id(parameter) in decayed for name, parameter in detector.named_parameters()}
    assert names["streams.frequency.backbone.conv1.weight"]
    assert names["fusion.qkv.weight"]
    for name in (
        "streams.frequency.mask.component",
        "streams.frequency.mask.band_weights",
        "streams.frequency.backbone.bn1.weight",
        "streams.semantic.backbone.pos_embed",
        "streams.semantic.backbone.cls_token",
        "streams.semantic.backbone.blocks.0.norm1.weight",
        "fusion.type_embedding",
        "fusion.qkv.bias",
    ):
        assert not names[name], name
    assert sum(len(group["params"]) for group in optimiser.param_groups) == len(names)


def test_the_longest_prefix_sets_the_factor() -> None:
    detector = small_detector("multistream")
    config = OptimConfig(learning_rate=1.0, multipliers={"streams": 0.5, "streams.spatial.backbone": 0.1})
    optimiser = build_optimiser([detector], config)
    factor = {id(p): group["factor"] for group in optimiser.param_groups for p in group["params"]}
    by_name = {name: factor[id(parameter)] for name, parameter in detector.named_parameters()}
    assert by_name["streams.spatial.backbone.conv_stem.weight"] == 0.1
    assert by_name["streams.spatial.project.weight"] == 0.5
    assert by_name["fusion.qkv.weight"] == 1.0
    with pytest.raises(ConfigError, match=r"streams\.spat"):
        build_optimiser([detector], OptimConfig(multipliers={"streams.spat": 0.1}))


def test_the_rate_warms_up_and_falls_to_the_final_fraction() -> None:
    config = OptimConfig(learning_rate=1.0, warmup_fraction=0.1, final_fraction=0.01)
    optimiser = build_optimiser([small_detector("univfd")], config)
    rates = [set_learning_rate(optimiser, config, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == pytest.approx(1.0)
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] == pytest.approx(0.01, abs=0.001)
