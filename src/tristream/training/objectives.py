"""Objectives: named loss terms. A training config lists terms with weights; the trainer adds them up.

A term sees the detector's output, the batch and the stream mask, and may bring parameters of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from tristream.config import StrictModel, validate
from tristream.data.dataset import ImageBatch
from tristream.detectors.backbones import normalisation_of
from tristream.detectors.base import Detector, DetectorOutput
from tristream.detectors.multistream.streams import token_statistics
from tristream.errors import ConfigError
from tristream.registry import Registry

# B images, S streams, D fusion width, T tokens, E width of a transformer


@dataclass(frozen=True)
class TrainingContext:
    """What a term may need to know about the run when it is built."""

    detector: Detector
    class_counts: tuple[int, int]
    """Number of real and fake training pictures."""
    teacher: VisionTransformer | None
    """Frozen, in eval mode and on the run's device, when the config names one."""


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
        label_smoothing: float = Field(0.0, ge=0, lt=1)

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
    """How far a stream's transformer is from a frozen teacher of the same width on the same pixels, block by block.

    The mean squared difference of the tokens after each block, plus that of their `token_statistics` after the last;
    each direction first divided by the teacher's standard deviation over the batch, since what tells fakes lies in
    directions of little variance, too. A student that says nothing has about 2, a perfect one 0.
    """

    class Options(StrictModel):
        stream: str = "semantic"

    options_class = Options

    def __init__(self, options: Options, context: TrainingContext) -> None:
        super().__init__(options, context)
        if context.teacher is None:
            raise ConfigError("the distillation objective needs `teacher` in the training config")
        if options.stream not in context.detector.stream_names:
            raise ConfigError(f"the detector has no stream '{options.stream}' to distil into")
        student = context.detector.get_submodule(f"streams.{options.stream}.backbone")
        if not isinstance(student, VisionTransformer) or student.embed_dim != context.teacher.embed_dim:
            width = context.teacher.embed_dim
            raise ConfigError(f"the stream '{options.stream}' has no vision transformer of the teacher's width {width}")
        if (blocks := len(student.blocks)) > len(context.teacher.blocks):
            raise ConfigError(
                f"the stream '{options.stream}' has {blocks} blocks, the teacher {len(context.teacher.blocks)}"
            )
        self.teacher = (context.teacher,)  # in a tuple: no part of what is trained and saved
        self.normalise = normalisation_of(context.teacher)
        self.student_tokens = _recorded_tokens(student)
        self.teacher_tokens = _recorded_tokens(context.teacher, len(student.blocks))

    def forward(self, output: DetectorOutput, batch: ImageBatch, stream_mask: Tensor | None) -> Tensor:
        with torch.no_grad():
            self.teacher[0].forward_features(self.normalise(batch.pixels))
        wanted, found = self.teacher_tokens(), self.student_tokens()
        pairs = zip(found, wanted, strict=True)
        by_block = torch.stack([_standardised_error(f[:, ::_STRIDE], w[:, ::_STRIDE]) for f, w in pairs])
        return by_block.mean() + _standardised_error(token_statistics(found[-1]), token_statistics(wanted[-1]))


_STRIDE = 4
"""Every fourth token, the class token among them, says enough of a block."""


def _standardised_error(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared difference over the wanted variance of each direction, the last dimension."""
    deviation_E = wanted.float().flatten(0, -2).std(0) + 1e-4
    return ((found.float() - wanted.float()) / deviation_E).square().mean()


def _recorded_tokens(transformer: VisionTransformer, blocks: int | None = None) -> Callable[[], list[Tensor]]:
    """A function that hands over the tokens [B, T, E] after each of the first blocks in the latest forward pass."""
    latest: dict[int, Tensor] = {}
    for number, block in enumerate(transformer.blocks[:blocks]):
        block.register_forward_hook(lambda module, inputs, tokens, number=number: latest.update({number: tokens}))

    def hand_over() -> list[Tensor]:
        tokens = [latest[number] for number in sorted(latest)]
        latest.clear()
        return tokens

    return hand_over


def draw_stream_mask(batch: int, streams: int, probability: float, generator: torch.Generator | None = None) -> Tensor:
    """Stream dropout: each stream of each sample is dropped with `probability`; where all would go, a random one stays.

    Returns bool[B, S] on the CPU, True where a stream takes part.
    """
    alive_BS = torch.rand(batch, streams, generator=generator) >= probability
    revived_B = torch.randint(streams, (batch,), generator=generator)
    dead_B = ~alive_BS.any(-1)
    alive_BS[dead_B, revived_B[dead_B]] = True
    return alive_BS
