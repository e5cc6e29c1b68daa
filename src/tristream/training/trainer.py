"""The one trainer: any registered detector, a list of named loss terms, a run directory from which it can be repeated.

A step is a pure function of (state, seed, step number): order, augmentation, dropout and stream dropout are drawn from
(seed, step), never from a running generator. That is why a resumed run ends where an uninterrupted one does.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from tristream.data.dataset import ImageBatch, PictureDataset, TrainingOrder, collate
from tristream.data.files import file_facts
from tristream.data.manifest import Manifest
from tristream.data.sample import balanced_sample
from tristream.data.splits import check_groups, check_splits
from tristream.detectors import Detector, Probe
from tristream.detectors.checkpoint import save_checkpoint
from tristream.errors import ConfigError, ManifestError
from tristream.evaluation.conditions import CONDITIONS, rehearse
from tristream.evaluation.runner import score_manifest
from tristream.images.preprocess import Preprocessing
from tristream.metadata import sketch
from tristream.metrics.binary import auroc
from tristream.runtime.torch_session import TorchSession
from tristream.training.augment import Augmentation, sample_generator
from tristream.training.averaging import AveragedWeights
from tristream.training.config import TrainConfig
from tristream.training.frozen import FrozenNetwork, ProbeSession, embedded_pictures
from tristream.training.objectives import TrainingContext, build_objective, draw_stream_mask
from tristream.training.optim import build_optimiser, set_learning_rate
from tristream.training.run_directory import RunDirectory
from tristream.training.starting_point import starting_point, weight_files
from tristream.training.state import Position, load_state, save_state
from tristream.training.teacher import build_teacher
from tristream.typing import Float32, UInt8

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepReport:
    """What the caller may show after each step."""

    step: int
    total_steps: int
    epoch: int
    epochs: int
    losses: dict[str, float]
    best_auroc: float | None


def train(
    config: TrainConfig,
    run_dir: Path,
    *,
    manifest: Manifest | None = None,
    resume: bool = False,
    embeddings: Path | None = None,
    on_step: Callable[[StepReport], None] | None = None,
    command: str = "",
) -> Path:
    """Train and return the path of the chosen checkpoint, `run_dir`/checkpoints/best.safetensors.

    manifest: pictures at hand, in place of the file that `config.data` names. embeddings: folder for what frozen parts
    make, in place of one in `run_dir`: runs that share it share what is the same.
    Writes config.yaml, environment.json, log.jsonl and checkpoints/{best,last,state}.safetensors. Raises ConfigError
    when `run_dir` holds a run and `resume` is not set, or is set with another config; ManifestError for unusable data.
    """
    directory = RunDirectory(run_dir)
    directory.check(config, resume)
    fabric = Fabric(accelerator=config.accelerator, devices=1, precision=config.precision)
    pictures = Manifest.read(config.data) if manifest is None else manifest
    run = _Run(config, pictures, directory, fabric, embeddings or directory.embeddings)
    directory.record(config, run.inputs(), command)
    if config.sample is not None:
        columns = ["sha256", "path", "label", "generator", "source"]
        run.train_data.table[columns].to_csv(directory.pictures, index=False)
    position = run.restore() if directory.state.is_file() else Position()
    directory.cut_log(position.step)
    began = position.step
    while position.step < run.total_steps and not run.is_exhausted(position):
        position = run.epoch(position, on_step)
    if position.step > began or not directory.last.is_file():  # a finished run keeps its file, byte for byte
        run.save(directory.last, notes="averaged weights after the last step")
    return directory.best


@dataclass(frozen=True)
class TrainingView:
    """What training sees of a picture: an augmented crop that depends on (seed, epoch, picture) alone."""

    augmentation: Augmentation
    preprocessing: Preprocessing
    size: int
    seed: int

    def __call__(self, pixels: UInt8, epoch: int, picture: str) -> Float32:
        rng = sample_generator(self.seed, epoch, picture)
        return self.augmentation.apply(pixels, self.preprocessing, self.size, rng)


class TrainingModule(nn.Module):
    """Detector and loss terms as one module, so that the optimiser sees every parameter."""

    def __init__(self, detector: Detector, objectives: Mapping[str, nn.Module], is_embedded: bool = False) -> None:
        """is_embedded: batches hold what the detector's frozen part made of the pixels, in their place."""
        super().__init__()
        self.detector, self.is_embedded = detector, is_embedded
        self.objectives = nn.ModuleDict(objectives)

    def forward(self, batch: ImageBatch, stream_mask: Tensor | None) -> dict[str, Tensor]:
        if self.is_embedded and isinstance(self.detector, Probe):
            output = self.detector.classify(batch.pixels, stream_mask)
        else:
            output = self.detector(batch.pixels, stream_mask)
        return {name: term(output, batch, stream_mask) for name, term in self.objectives.items()}


class _Run:
    """The parts of one run, built from its config."""

    def __init__(
        self, config: TrainConfig, manifest: Manifest, directory: RunDirectory, fabric: Fabric, embeddings: Path
    ) -> None:
        self.config, self.directory, self.fabric, self._embeddings = config, directory, fabric, embeddings
        splits = [config.train_split, config.selection.split]
        for name in splits:
            manifest.split(name)  # a name that there is not is told beside all that there are
        check_groups(manifest, splits)
        used = manifest.where(manifest.table["split"].isin(splits))
        check_splits(used := used.with_file_columns(["sha256"]))
        rehearse([CONDITIONS[config.selection.condition]])
        self.train_data = used.split(config.train_split)
        if config.sample is not None:
            self.train_data = balanced_sample(self.train_data, config.sample.pictures, config.sample.salt)
        self.selection_data = used.split(config.selection.split)
        labels = self.train_data.table["label"].to_numpy()
        counts = int((labels == 0).sum()), int((labels == 1).sum())
        if min(counts) == 0 or self.selection_data.table["label"].nunique() < 2:
            raise ManifestError(f"{config.data}: training and selection need real and fake pictures in both splits")
        torch.manual_seed(config.seed)
        detector, self.description = starting_point(config)
        if config.stream_dropout > 0 and not detector.stream_names:
            raise ConfigError(f"stream_dropout: {self.description.detector} has no streams to drop; set it to 0")
        self.preprocessing = self.description.preprocessing
        self.frozen = [_module(detector, name).requires_grad_(False) for name in config.frozen]
        teacher = None if config.teacher is None else build_teacher(config.teacher, config.input_size, fabric.device)
        context = TrainingContext(detector, counts, teacher)
        objectives = {n: build_objective(n, c.options, context) for n, c in config.objectives.items() if c.weight > 0}
        self.weights = {name: config.objectives[name].weight for name in objectives}
        is_embedded = config.embedded_copies > 0
        self.parts = TrainingModule(detector, objectives, is_embedded).to(memory_format=torch.channels_last)
        self.module, self.optimiser = fabric.setup(
            self.parts, build_optimiser([self.parts.detector, self.parts.objectives], config.optim)
        )
        self.averaged = AveragedWeights(self.parts.detector, decay=config.ema_decay, use_warmup=True)
        self.order = TrainingOrder(len(self.train_data), config.batch_size, config.seed)
        self.total_steps = self.order.steps_per_epoch * config.epochs
        scored = self.averaged.module
        keeps = isinstance(scored, Probe) and isinstance(detector, Probe) and detector.is_frozen
        self.session = ProbeSession(scored, fabric.device) if keeps else TorchSession(scored, fabric.device)
        self._detector = detector
        if is_embedded and not (isinstance(detector, Probe) and detector.is_frozen):
            raise ConfigError(f"embedded_copies: {self.description.detector} embeds with what it trains; set it to 0")
        if is_embedded and teacher is not None:
            raise ConfigError("embedded_copies: a teacher looks at pictures, not at embeddings; set it to 0")

    def _view(self) -> TrainingView:
        config = self.config
        return TrainingView(config.augmentation, self.preprocessing, config.input_size, config.seed)

    @cached_property
    def dataset(self) -> Dataset[Any]:
        """The training pictures, or their embeddings: computed on first use, once it is clear whose run this is."""
        config, detector = self.config, self._detector
        if not (self.parts.is_embedded and isinstance(detector, Probe)):
            return PictureDataset(self.train_data, self._view())
        network = FrozenNetwork(detector.eval().embedders(), self.fabric.device, self.fabric.autocast)
        key, copies = f"{self._view()} {config.precision}", config.embedded_copies
        return embedded_pictures(network, self._embeddings, key, self.train_data, self._view(), copies, config.workers)

    def inputs(self) -> dict[str, str]:
        """A digest of everything that the run reads."""
        found = {"training data": self.train_data.digest(), "selection data": self.selection_data.digest()}
        files = {"init_from": self.config.init_from} | dict(weight_files(self.config.detector, "detector"))
        if self.config.teacher is not None:
            files["teacher"] = Path(self.config.teacher.weights)
        for name, path in files.items():
            if path is not None and path.is_file():
                found[name] = file_facts(path, ["sha256"])["sha256"]
        return found

    def restore(self) -> Position:
        return load_state(self.directory.state, self.parts, self.averaged.module, self.optimiser)

    def is_exhausted(self, position: Position) -> bool:
        patience = self.config.selection.patience
        return patience is not None and position.epochs_without_gain >= patience

    def epoch(self, position: Position, on_step: Callable[[StepReport], None] | None) -> Position:
        """Train to the end of the epoch in which `position` lies, then select."""
        number = position.step // self.order.steps_per_epoch
        end = (number + 1) * self.order.steps_per_epoch
        for step, batch in zip(range(position.step, end), self._batches(position.step, end), strict=True):
            losses = self._step(step, batch)
            position = position.model_copy(update={"step": step + 1})
            if on_step:
                on_step(StepReport(step + 1, self.total_steps, number, self.config.epochs, losses, position.best_auroc))
            if (step + 1) % self.config.save_every_steps == 0 and step + 1 < end:
                self._save_state(position)
        position = self._select(position, number)
        self._save_state(position)
        return position

    def save(self, path: Path, notes: str) -> None:
        """Write the averaged weights as a checkpoint."""
        metadata = self.description.model_copy(
            update={
                "seed": self.config.seed,
                "training_data_sha256": self.train_data.digest(),
                "training_sketch": sketch([*self.train_data.table["sha256"], *self.description.training_sketch]),
                "selection_sketch": sketch(self.selection_data.table["sha256"]),
                "notes": "; ".join([*self._lineage(), notes]),
            }
        )
        save_checkpoint(path, self.averaged.module, metadata)

    def _lineage(self) -> list[str]:
        return [f"fine-tuned from {self.description.notes}"] if self.config.init_from else []

    def _batches(self, start: int, stop: int) -> Iterator[ImageBatch]:
        yield from DataLoader(
            self.dataset,
            batch_sampler=list(self.order.steps(start, stop)),
            collate_fn=collate,
            num_workers=0 if self.parts.is_embedded else self.config.workers,
            pin_memory=self.fabric.device.type == "cuda",
        )

    def _step(self, step: int, batch: ImageBatch) -> dict[str, float]:
        config = self.config
        torch.manual_seed(int(np.random.default_rng([config.seed, step]).integers(2**62)))
        rate = set_learning_rate(self.optimiser, config.optim, step, self.total_steps)
        self.parts.train()
        for module in self.frozen:
            module.eval()
        sums: dict[str, float] = dict.fromkeys(self.weights, 0.0)
        parts = [tensor.to(self.fabric.device).chunk(config.accumulation) for tensor in batch]
        for tensors in zip(*parts, strict=True):
            micro = ImageBatch(*tensors)
            with self.fabric.autocast():  # calling the wrapped module would round the pixels to half precision first
                losses: dict[str, Tensor] = self.parts(micro, self._stream_mask(len(micro.labels)))
            total = (
                torch.stack([self.weights[name] * loss for name, loss in losses.items()]).sum() / config.accumulation
            )
            if not math.isfinite(float(total.detach())):
                raise ConfigError(f"the loss is not finite at step {step}; lower optim.learning_rate or use 32-true")
            self.fabric.backward(total)
            for name, loss in losses.items():
                sums[name] += float(loss.detach()) / config.accumulation
        self.fabric.clip_gradients(self.module, self.optimiser, max_norm=config.optim.clip_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.averaged.update(self.parts.detector, step=step)
        if (step + 1) % 10 == 0:
            losses_by_name = {f"loss_{name}": value for name, value in sums.items()}
            self.directory.log({"step": step + 1, "learning_rate": rate, **losses_by_name})
        return sums

    def _stream_mask(self, count: int) -> Tensor | None:
        streams = len(self.parts.detector.stream_names)
        if streams < 2 or self.config.stream_dropout == 0:
            return None
        return draw_stream_mask(count, streams, self.config.stream_dropout).to(self.fabric.device)

    def _select(self, position: Position, epoch: int) -> Position:
        """Score the selection split with the averaged weights and keep them when none were better so far."""
        selection = self.config.selection
        table = score_manifest(
            self.session,
            self.preprocessing,
            self.selection_data,
            CONDITIONS[selection.condition],
            workers=max(1, self.config.workers),
        )
        if failed := int((table["error"] != "").sum()):
            raise ManifestError(
                f"{failed} pictures of the selection split have no score, one is: {table['error'].max()}"
            )
        value = auroc(table["logit"].to_numpy(), table["label"].to_numpy())
        best = position.best_auroc
        is_kept, is_gain = best is None or value >= best, best is None or value > best
        self.directory.log(
            {"step": position.step, "epoch": epoch, "selection_auroc": value, "n": len(table), "kept": is_kept}
        )
        words = (
            f"epoch {epoch + 1} of {self.config.epochs}, {selection.split} AUROC {value:.4f} ({selection.condition})"
        )
        log.info("%s%s", words, ", kept" if is_kept else "")
        if is_kept:
            self.save(self.directory.best, words)
            position = position.model_copy(update={"best_auroc": value})
        return position.model_copy(update={"epochs_without_gain": 0 if is_gain else position.epochs_without_gain + 1})

    def _save_state(self, position: Position) -> None:
        save_state(self.directory.state, self.parts, self.averaged.module, self.optimiser, position)


def _module(detector: Detector, name: str) -> nn.Module:
    try:
        return detector.get_submodule(name)
    except AttributeError:
        raise ConfigError(f"frozen: the detector has no module '{name}'") from None
