"""The averaged (EMA) weights of a run: timm's, without work on what does not change."""

from __future__ import annotations

import torch
from timm.utils import ModelEmaV3
from torch import nn

from tristream.training.state import trained_state


class AveragedWeights(ModelEmaV3):
    """Averages what is trained, buffers included. Frozen parameters, most of a probe, are the same in both."""

    def apply_update_(self, model: nn.Module, decay: float) -> None:
        """Move the averages towards `model` by 1 - decay; whole numbers, which have no average, are copied."""
        pairs = list(zip(trained_state(self.module).values(), trained_state(model).values(), strict=True))
        for average, value in pairs:
            if not average.is_floating_point():
                average.copy_(value)
        averages, values = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
        torch._foreach_lerp_(averages, values, weight=1 - decay)
