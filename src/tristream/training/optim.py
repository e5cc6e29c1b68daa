"""The optimiser, its parameter groups and the learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from pydantic import Field
from torch import nn

from tristream.config import StrictModel
from tristream.errors import ConfigError


class OptimConfig(StrictModel):
    """AdamW with linear warm-up and cosine decay to `final_fraction` of the peak."""

    learning_rate: float = Field(3e-4, gt=0)
    weight_decay: float = Field(0.05, ge=0)
    warmup_fraction: float = Field(0.05, ge=0, lt=1)
    final_fraction: float = Field(0.01, ge=0, le=1)
    clip_norm: float = Field(1.0, gt=0)
    multipliers: dict[str, float] = Field(default_factory=dict)
    """Learning-rate factor by prefix of the parameter's name, as in {"streams.spatial": 0.5}; the longest wins."""


def build_optimiser(modules: Iterable[nn.Module], config: OptimConfig) -> torch.optim.AdamW:
    """AdamW over all trainable parameters. Only matrices and kernels of layers decay.

    Biases, norm parameters, embeddings, position grids, spectral masks and gains do not: their neutral value is not 0.
    Raises ConfigError for a multiplier that no parameter takes.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    modules = list(modules)
    names = [name for module in modules for name, _ in module.named_parameters()]
    if unused := [p for p in config.multipliers if not any(_begins(name, p) for name in names)]:
        raise ConfigError(f"optim.multipliers: no parameter's name begins with {', '.join(unused)}")
    for module in modules:
        layer_weights = {
            id(layer.weight)
            for layer in module.modules()
            if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d) and isinstance(layer.weight, nn.Parameter)
        }
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                factor = _multiplier(name, config.multipliers)
                groups.setdefault((factor, id(parameter) in layer_weights), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "weight_decay": config.weight_decay if decays else 0.0, "factor": factor}
            for (factor, decays), parameters in groups.items()
        ],
        lr=config.learning_rate,
    )


def set_learning_rate(optimiser: torch.optim.Optimizer, config: OptimConfig, step: int, total_steps: int) -> float:
    """Set the rate of each group for `step` (0-based) and return the base rate."""
    warmup = max(1, round(config.warmup_fraction * total_steps))
    if step < warmup:
        share = (step + 1) / warmup
    else:
        progress = (step - warmup) / max(1, total_steps - warmup)
        share = config.final_fraction + (1 - config.final_fraction) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    rate = config.learning_rate * share
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]
    return rate


def _multiplier(name: str, multipliers: dict[str, float]) -> float:
    matches = [prefix for prefix in multipliers if _begins(name, prefix)]
    return multipliers[max(matches, key=len)] if matches else 1.0


def _begins(name: str, prefix: str) -> bool:
    """Whether a parameter belongs to `prefix`, which ends at a dot of its name."""
    return name == prefix or name.startswith(prefix + ".")
