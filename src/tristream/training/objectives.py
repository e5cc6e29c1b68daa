"""Objectives: named loss terms. A training config lists terms with weights; the trainer adds them up.

A term sees the detector's output, the batch and the stream mask, and may bring parameters of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tristream.config import StrictModel, validate
from tristream.data.dataset import ImageBatch
from tristream.detectors.base import Detector, DetectorOutput
from tristream.errors import ConfigError
from tristream.registry import Registry

# B images, S streams, D fusion width, E embedding of a teacher


@dataclass(frozen=True)
class TrainingContext:
    """What a term may need to know about the run when it is built."""

    detector: Detector
    class_counts: tuple[int, int]
    """Number of real and fake training pictures."""
    teacher_embeddings: Tensor | None
    """f32[N, E], one row per training picture, when the config names a teacher."""


class Objective(nn.Module, ABC):
    """One loss term."""

    options_class: ClassVar[type[StrictModel]] = StrictModel

    def __init__(self, options: Any, context: TrainingContext) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, output: DetectorOutput, batch: ImageBatch, stream_mask: Tensor | None) -> Tensor:
        """A scalar f32. stream_mask: bool[B, S], True where a stream took part, or None."""


OBJECTIVES: Registry[type[Objective]] = Registry("objective")


def build_objective(name: str, options: Mapping[str, Any], context: TrainingContext) -> Objective:
    """The term that a config names. Raises ConfigError."""
    objective_class = OBJECTIVES[name]
    return objective_class(validate(objective_class.options_class, options, f"objective '{name}'"), context)


@OBJECTIVES.register("classification")
class Classification(Objective):
    """Binary cross-entropy on the logit; each class has half of the total weight whatever its share of the pictures."""

    class Options(StrictModel):
        label_smoothing: float = 0.0

    options_class = Options

    def __init__(self, options: Options, context: TrainingContext) -> None:
        super().__init__(options, context)
        real, fake = context.class_counts
        self.weight_real, self.weight_fake = (real + fake) / (2 * real), (real + fake) / (2 * fake)
        self.smoothing = options.label_smoothing

    def forward(self, output: DetectorOutput, batch: ImageBatch, stream_mask: Tensor | None) -> Tensor:
        weight = torch.where(batch.labels > 0.5, self.weight_fake, self.weight_real)
        target = batch.labels * (1 - self.smoothing) + self.smoothing / 2
        return F.binary_cross_entropy_with_logits(output.logits, target, weight=weight)


@OBJECTIVES.register("orthogonality")
class Orthogonality(Objective):
    """Mean absolute cosine between the streams' tokens of the same picture, over all pairs of streams that took part.

    Lies in [0, 1]. Uses `DetectorOutput.tokens`, that is the projected features before type embedding and attention:
    behind the embedding, constant orthogonal embeddings would satisfy it. Pairs with a dropped stream do not count.
    """

    def __init__(self, options: StrictModel, context: TrainingContext) -> None:
        super().__init__(options, context)
        if not context.detector.stream_names:
            raise ConfigError("the orthogonality objective needs a detector with streams")

    def forward(self, output: DetectorOutput, batch: ImageBatch, stream_mask: Tensor | None) -> Tensor:
        assert output.tokens is not None  # a detector with streams has tokens
        return orthogonality_loss(output.tokens, stream_mask)


def orthogonality_loss(tokens_BSD: Tensor, mask_BS: Tensor | None = None) -> Tensor:
    """Mean |cos| over the samples and stream pairs in which both streams are alive; 0 when there is no such pair.

    tokens_BSD: f32[B, S, D]; mask_BS: bool[B, S]. Returns a scalar in [0, 1].
    """
    unit_BSD = F.normalize(tokens_BSD.float(), dim=-1)
    if mask_BS is None:
        mask_BS = torch.ones(tokens_BSD.shape[:2], dtype=torch.bool, device=tokens_BSD.device)
    total, count = tokens_BSD.new_zeros((), dtype=torch.float32), tokens_BSD.new_zeros((), dtype=torch.float32)
    for i, j in combinations(range(tokens_BSD.shape[1]), 2):
        alive_B = mask_BS[:, i] & mask_BS[:, j]
        cosine_B = (unit_BSD[:, i] * unit_BSD[:, j]).sum(-1)
        total = total + torch.where(alive_B, cosine_B.abs(), 0.0).sum()
        count = count + alive_B.sum()
    return total / count.clamp(min=1)


@OBJECTIVES.register("distillation")
class Distillation(Objective):
    """1 - cosine between a linear image of a stream's features and a frozen teacher's embedding of the picture.

    The teacher sees the middle crop as it is, the student an augmented one: it learns to ignore what files go through.
    """

    class Options(StrictModel):
        stream: str = "semantic"

    options_class = Options

    def __init__(self, options: Options, context: TrainingContext) -> None:
        super().__init__(options, context)
        if context.teacher_embeddings is None:
            raise ConfigError("the distillation objective needs `teacher` in the training config")
        if options.stream not in context.detector.stream_names:
            raise ConfigError(f"the detector has no stream '{options.stream}' to distil into")
        self.stream = options.stream
        embeddings = F.normalize(context.teacher_embeddings - context.teacher_embeddings.mean(0), dim=-1)
        self.register_buffer("teacher_NE", embeddings, persistent=False)
        self.teacher_NE: Tensor
        self.head = nn.Linear(context.detector.feature_sizes[options.stream], embeddings.shape[1])

    def forward(self, output: DetectorOutput, batch: ImageBatch, stream_mask: Tensor | None) -> Tensor:
        student = self.head(output.features[self.stream].float())
        return 1 - F.cosine_similarity(student, self.teacher_NE[batch.rows], dim=-1).mean()


def draw_stream_mask(batch: int, streams: int, probability: float, generator: torch.Generator | None = None) -> Tensor:
    """Stream dropout: each stream of each sample is dropped with `probability`; where all would go, a random one stays.

    Returns bool[B, S] on the CPU, True where a stream takes part.
    """
    alive_BS = torch.rand(batch, streams, generator=generator) >= probability
    revived_B = torch.randint(streams, (batch,), generator=generator)
    dead_B = ~alive_BS.any(-1)
    alive_BS[dead_B, revived_B[dead_B]] = True
    return alive_BS
