"""The training configuration: everything that decides what a run does, in one strict model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from tristream.config import StrictModel
from tristream.images.preprocess import Preprocessing
from tristream.training.augment import Augmentation
from tristream.training.optim import OptimConfig


class SelectionConfig(StrictModel):
    """Which checkpoint is kept: the best AUROC of the averaged weights on a split, under a condition."""

    split: str = "validation"
    condition: str = "alike"
    patience: int | None = Field(None, ge=1)
    """Stop after so many epochs without a gain; None trains to the end."""


class ObjectiveConfig(StrictModel):
    """Weight of a loss term in the sum, and the term's own options."""

    weight: float = Field(1.0, ge=0)
    options: dict[str, Any] = Field(default_factory=dict)


class SampleConfig(StrictModel):
    """A part of the training split: half of each class, and inside a class as many of each source as of any other.

    Sources are photo sources of reals and generators of fakes. The training seed plays no part: all seeds and all
    detectors see the same pictures. The run directory lists them in training_pictures.csv.
    """

    pictures: int = Field(ge=2)
    salt: str = "tristream"
    """Another word, other pictures."""


class TeacherConfig(StrictModel):
    """A frozen vision transformer whose tokens the distillation objective imitates, block by block."""

    backbone: str = "vit_base_patch16_clip_quickgelu_224.openai"
    weights: str = "hub"
    blocks: int | None = Field(None, ge=1)
    """How many of its leading blocks; as many as the student has. None: all."""


class TrainConfig(StrictModel):
    """One training run."""

    name: str = "detector"
    seed: int = Field(0, ge=0)
    """Of weights, order, augmentation and dropout; the splits never depend on it."""
    data: Path
    """A manifest with a `split` column."""
    train_split: str = "train"
    sample: SampleConfig | None = None
    """Train on so many pictures of the split; None: on all."""
    selection: SelectionConfig = SelectionConfig()
    detector: dict[str, Any] = Field(default_factory=lambda: {"name": "multistream"})
    """`name` in the registry of detectors, and that detector's own keys."""
    init_from: Path | None = None
    """A tristream checkpoint to fine-tune: its detector and preprocessing replace those of this config."""
    preprocessing: Preprocessing = Preprocessing()
    augmentation: Augmentation = Augmentation()
    input_size: int = Field(256, ge=32)
    """Side in px of the training crops. They are cut from the same resized picture that inference crops from."""
    embedded_copies: int = Field(0, ge=0)
    """For a detector with a frozen part: so many augmented copies of each picture are embedded once, before the first
    step, and epoch e trains on copy e modulo this. 0: every step embeds its pictures anew."""
    objectives: dict[str, ObjectiveConfig] = Field(default_factory=lambda: {"classification": ObjectiveConfig()})
    frozen: tuple[str, ...] = ()
    """Modules of the detector that do not learn, as in [streams.spatial.backbone]: no gradient, and eval mode."""
    stream_dropout: float = Field(0.0, ge=0, lt=1)
    """Chance of each stream to be left out of a step, per picture; one is always left, and a single one stays."""
    teacher: TeacherConfig | None = None
    epochs: int = Field(10, ge=1)
    batch_size: int = Field(32, ge=2)
    """Pictures per step, over all micro-batches."""
    accumulation: int = Field(1, ge=1)
    """Micro-batches per step; divides `batch_size`."""
    optim: OptimConfig = OptimConfig()
    ema_decay: float = Field(0.999, ge=0, lt=1)
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    workers: int = Field(2, ge=0)
    """Data loading processes; they change nothing but the speed."""
    save_every_steps: int = Field(100, ge=1)
    """How often the state for `--resume` is written, besides the end of every epoch."""

    @field_validator("objectives", mode="before")
    @classmethod
    def _number_is_weight(cls, value: Any) -> Any:
        """`orthogonality: 0.1` is short for `orthogonality: {weight: 0.1}`."""
        if isinstance(value, dict):
            return {k: {"weight": v} if isinstance(v, bool | int | float) else v for k, v in value.items()}
        return value

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.batch_size % self.accumulation or self.batch_size < 2 * self.accumulation:
            raise ValueError(
                f"batch_size {self.batch_size} is not {self.accumulation} (accumulation) equal parts of 2 or more"
            )
        if self.selection.split == self.train_split:
            raise ValueError(f"selection.split: '{self.train_split}' is trained on; choose the checkpoint on another")
        if self.teacher is not None and "distillation" not in self.objectives:
            raise ValueError("teacher: no loss term looks at it; add objectives.distillation")
        if not any(objective.weight > 0 for objective in self.objectives.values()):
            raise ValueError("objectives: no loss term has a weight above 0")
        return self
