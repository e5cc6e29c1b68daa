"""The state of a training run on disk: a safetensors file from which a killed run goes on as if it had not stopped."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from tristream.config import StrictModel
from tristream.detectors.backbones import read_safetensors
from tristream.detectors.checkpoint import write_safetensors
from tristream.errors import CheckpointError


class Position(StrictModel):
    """Where a run stands. `step` counts finished optimiser steps."""

    step: int = 0
    best_auroc: float | None = None
    epochs_without_gain: int = 0


def save_state(
    path: Path, module: nn.Module, averaged: nn.Module, optimiser: torch.optim.Optimizer, position: Position
) -> None:
    """Write weights, averaged weights, optimiser moments and position in one atomic file. No pickle is involved.

    Frozen parameters are left out: a run builds them anew from its config.
    """
    tensors = {f"module.{name}": tensor for name, tensor in trained_state(module).items()}
    tensors |= {f"averaged.{name}": tensor for name, tensor in trained_state(averaged).items()}
    for index, slots in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{slot}": value for slot, value in slots.items()}
    write_safetensors(path, tensors, {"position": position.model_dump_json()})


def load_state(path: Path, module: nn.Module, averaged: nn.Module, optimiser: torch.optim.Optimizer) -> Position:
    """Fill the three from a file of `save_state`. Raises CheckpointError when it does not fit."""
    tensors = read_safetensors(path)
    with safe_open(path, framework="pt") as file:
        position = Position.model_validate(json.loads(file.metadata()["position"]))

    def part(prefix: str) -> dict[str, Tensor]:
        return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

    for prefix, target in (("module.", module), ("averaged.", averaged)):
        found = part(prefix)
        if found.keys() != trained_state(target).keys():
            raise CheckpointError(f"{path}: is the state of another detector")
        target.load_state_dict(found, strict=False)
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in part("optimiser.").items():
        index, _, slot = name.partition(".")
        slots.setdefault(int(index), {})[slot] = tensor
    optimiser.load_state_dict({"state": slots, "param_groups": optimiser.state_dict()["param_groups"]})
    return position


def trained_state(module: nn.Module) -> dict[str, Tensor]:
    """The state of a module without its frozen parameters, in a fixed order."""
    frozen = {name for name, parameter in module.named_parameters() if not parameter.requires_grad}
    return {name: tensor for name, tensor in module.state_dict().items() if name not in frozen}
