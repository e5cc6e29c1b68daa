"""The one trainer: any registered detector, a list of named loss terms, a run directory from which it can be repeated.

A step is a pure function of (state, seed, step number): order, augmentation, dropout and stream dropout are drawn from
(seed, step), never from a running generator. That is why a resumed run ends where an uninterrupted one does.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from lightning.fabric import Fabric
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tristream.data.dataset import ImageBatch, PictureDataset, TrainingOrder, collate
from tristream.data.manifest import Manifest
from tristream.detectors import Detector, build_detector
from tristream.detectors.checkpoint import CheckpointMetadata, load_checkpoint, save_checkpoint
from tristream.environment import describe_environment
from tristream.errors import ConfigError, ManifestError
from tristream.evaluation.conditions import CONDITIONS
from tristream.evaluation.runner import score_manifest
from tristream.images.preprocess import Preprocessing
from tristream.metrics.binary import auroc
from tristream.runtime.torch_session import TorchSession
from tristream.training.augment import sample_generator
from tristream.training.config import TrainConfig
from tristream.training.objectives import TrainingContext, build_objective, draw_stream_mask
from tristream.training.optim import build_optimiser, set_learning_rate
from tristream.training.state import Position, load_state, save_state
from tristream.training.teacher import teacher_embeddings

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


class TrainingModule(nn.Module):
    """Detector and loss terms as one module, so that the optimiser and data parallelism see every parameter."""

    def __init__(self, detector: Detector, objectives: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.detector = detector
        self.objectives = nn.ModuleDict(objectives)

    def forward(self, batch: ImageBatch, stream_mask: Tensor | None) -> dict[str, Tensor]:
        output = self.detector(batch.pixels, stream_mask)
        return {name: term(output, batch, stream_mask) for name, term in self.objectives.items()}


def train(
    config: TrainConfig,
    run_dir: Path,
    *,
    manifest: Manifest | None = None,
    resume: bool = False,
    on_step: Callable[[StepReport], None] | None = None,
    command: str = "",
) -> Path:
    """Train and return the path of the chosen checkpoint, `run_dir`/checkpoints/best.safetensors.

    manifest: pictures at hand, in place of the file that `config.data` names.

    Writes config.yaml, environment.json, log.jsonl and checkpoints/{best,last,state}.safetensors. Raises ConfigError
    when `run_dir` holds a run and `resume` is not set, or is set with another config; ManifestError for unusable data.
    """
    _claim(run_dir, config, resume, command)
    fabric = Fabric(accelerator=config.accelerator, devices=config.devices, precision=config.precision)
    fabric.launch()
    run = _Run(config, Manifest.read(config.data) if manifest is None else manifest, run_dir, fabric)
    state = run_dir / "checkpoints" / "state.safetensors"
    position = run.restore(state) if resume and state.is_file() else Position()
    _cut_log(run_dir / "log.jsonl", position.step)
    while position.step < run.total_steps and not run.is_exhausted(position):
        position = run.epoch(position, state, on_step)
    run.save(run_dir / "checkpoints" / "last.safetensors", notes="averaged weights after the last step")
    return run_dir / "checkpoints" / "best.safetensors"


class _Run:
    """The parts of one run, built from its config."""

    def __init__(self, config: TrainConfig, manifest: Manifest, run_dir: Path, fabric: Fabric) -> None:
        self.config, self.run_dir, self.fabric = config, run_dir, fabric
        self.train_data = manifest.split(config.train_split).with_file_columns(["sha256"])
        self.selection_data = manifest.split(config.selection.split).with_file_columns(["sha256"])
        labels = self.train_data.table["label"].to_numpy()
        counts = int((labels == 0).sum()), int((labels == 1).sum())
        if min(counts) == 0 or self.selection_data.table["label"].nunique() < 2:
            raise ManifestError(f"{config.data}: training and selection need real and fake pictures in both splits")
        torch.manual_seed(config.seed)
        detector, self.detector_name, self.detector_config, self.preprocessing = _starting_point(config)
        embeddings = None
        if config.teacher is not None:
            cache = run_dir / "teacher.safetensors"
            embeddings = teacher_embeddings(
                config.teacher, self.train_data, self.preprocessing, cache, fabric.device, _log_progress("teacher")
            )
        torch.manual_seed(config.seed)  # what came before may have drawn or not: a cached teacher is not built
        context = TrainingContext(detector, counts, embeddings)
        objectives = {n: build_objective(n, c.options, context) for n, c in config.objectives.items() if c.weight > 0}
        module = TrainingModule(detector, objectives).to(memory_format=torch.channels_last)
        self.weights = {name: config.objectives[name].weight for name in objectives}
        self.module, self.optimiser = fabric.setup(
            module, build_optimiser([module.detector, module.objectives], config.optim)
        )
        self.averaged = ModelEmaV3(module.detector, decay=config.ema_decay, use_warmup=True)
        self.order = TrainingOrder(len(self.train_data), config.batch_size, config.seed)
        self.total_steps = self.order.steps_per_epoch * config.epochs

    @property
    def detector(self) -> Detector:
        detector: Detector = self.module.module.detector
        return detector

    def restore(self, state: Path) -> Position:
        return load_state(state, self.module.module, self.averaged.module, self.optimiser)

    def is_exhausted(self, position: Position) -> bool:
        patience = self.config.selection.patience
        return patience is not None and position.epochs_without_gain >= patience

    def epoch(self, position: Position, state: Path, on_step: Callable[[StepReport], None] | None) -> Position:
        """Train to the end of the epoch in which `position` lies, then select."""
        number = position.step // self.order.steps_per_epoch
        end = (number + 1) * self.order.steps_per_epoch
        for step, batch in zip(range(position.step, end), self._batches(position.step, end), strict=True):
            losses = self._step(step, batch)
            position = position.model_copy(update={"step": step + 1})
            if on_step:
                on_step(StepReport(step + 1, self.total_steps, number, self.config.epochs, losses, position.best_auroc))
            if (step + 1) % self.config.save_every_steps == 0 and step + 1 < end:
                self._save_state(state, position)
        position = self._select(position, number)
        self._save_state(state, position)
        return position

    def save(self, path: Path, notes: str) -> None:
        """Write the averaged weights as a checkpoint."""
        if not self.fabric.is_global_zero:
            return
        averaged: Detector = self.averaged.module
        save_checkpoint(path, averaged, CheckpointMetadata(
            name=self.config.name, detector=self.detector_name, config=self.detector_config,
            preprocessing=self.preprocessing, training_data_sha256=self.train_data.digest(), notes=notes,
        ))  # fmt: skip

    def _batches(self, start: int, stop: int) -> Iterator[ImageBatch]:
        augmentation, size, seed = self.config.augmentation, self.config.input_size, self.config.seed
        preprocessing = self.preprocessing

        def view(pixels: Any, epoch: int, picture: str) -> Any:
            return augmentation.apply(pixels, preprocessing, size, sample_generator(seed, epoch, picture))

        steps = list(self.order.steps(start, stop, self.fabric.global_rank, self.fabric.world_size))
        loader = DataLoader(PictureDataset(self.train_data, view), batch_sampler=steps, collate_fn=collate,
                            num_workers=self.config.workers)  # fmt: skip
        yield from loader

    def _step(self, step: int, batch: ImageBatch) -> dict[str, float]:
        config = self.config
        torch.manual_seed(int(np.random.default_rng([config.seed, step, self.fabric.global_rank]).integers(2**62)))
        rate = set_learning_rate(self.optimiser, config.optim, step, self.total_steps)
        self.module.train()
        sums: dict[str, float] = {}
        parts = [
            part.split(-(-len(batch.labels) // config.accumulation))
            for part in (batch.pixels, batch.labels, batch.rows)
        ]
        micro_batches = [
            ImageBatch(*(t.to(self.fabric.device) for t in tensors)) for tensors in zip(*parts, strict=True)
        ]
        for position, micro in enumerate(micro_batches):
            mask = self._stream_mask(len(micro.labels))
            with self.fabric.no_backward_sync(self.module, enabled=position + 1 < len(micro_batches)):
                losses: dict[str, Tensor] = self.module(micro, mask)
                share = len(micro.labels) / len(batch.labels)
                self.fabric.backward(torch.stack([self.weights[n] * loss for n, loss in losses.items()]).sum() * share)
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + float(loss.detach()) * share
        self.fabric.clip_gradients(self.module, self.optimiser, max_norm=config.optim.clip_norm)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.averaged.update(self.detector, step=step)
        if not all(np.isfinite(list(sums.values()))):
            raise ConfigError(
                f"the loss is not finite at step {step} ({sums}); lower optim.learning_rate or use 32-true"
            )
        if self.fabric.is_global_zero and (step + 1) % 10 == 0:
            self._log(
                {"step": step + 1, "learning_rate": rate, **{f"loss_{name}": value for name, value in sums.items()}}
            )
        return sums

    def _stream_mask(self, count: int) -> Tensor | None:
        streams = len(self.detector.stream_names)
        if streams < 2 or self.config.stream_dropout == 0:
            return None
        return draw_stream_mask(count, streams, self.config.stream_dropout).to(self.fabric.device)

    def _select(self, position: Position, epoch: int) -> Position:
        """Score the selection split with the averaged weights and keep them when they are the best so far."""
        self.fabric.barrier()
        session = TorchSession(self.averaged.module, self.fabric.device)
        condition = CONDITIONS[self.config.selection.condition]
        table = score_manifest(session, self.preprocessing, self.selection_data, condition)
        if failed := int((table["error"] != "").sum()):
            raise ManifestError(
                f"{failed} pictures of the selection split cannot be read, the first: {table['error'].max()}"
            )
        value = auroc(table["logit"].to_numpy(), table["label"].to_numpy())
        is_best = position.best_auroc is None or value >= position.best_auroc
        self._log({"step": position.step, "epoch": epoch, "selection_auroc": value, "n": len(table), "best": is_best})
        log.info(
            "epoch %d: %s AUROC %.4f (%s)%s",
            epoch + 1,
            self.config.selection.split,
            value,
            condition.name,
            " *" if is_best else "",
        )
        if not is_best:
            return position.model_copy(update={"epochs_without_gain": position.epochs_without_gain + 1})
        split, epochs = self.config.selection.split, self.config.epochs
        notes = f"epoch {epoch + 1} of {epochs}, {split} AUROC {value:.4f} ({condition.name})"
        self.save(self.run_dir / "checkpoints" / "best.safetensors", notes)
        return position.model_copy(update={"best_auroc": value, "best_epoch": epoch, "epochs_without_gain": 0})

    def _save_state(self, path: Path, position: Position) -> None:
        if self.fabric.is_global_zero:
            save_state(path, self.module.module, self.averaged.module, self.optimiser, position)

    def _log(self, entry: dict[str, Any]) -> None:
        if self.fabric.is_global_zero:
            with (self.run_dir / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")


def _starting_point(config: TrainConfig) -> tuple[Detector, str, dict[str, Any], Preprocessing]:
    """The detector to train, its registry name, its portable config and its preprocessing."""
    if config.init_from is not None:
        start = load_checkpoint(config.init_from)
        return start.detector, start.metadata.detector, start.metadata.config, start.metadata.preprocessing
    options = dict(config.detector)
    name = options.pop("name", "multistream")
    return build_detector(name, options), name, _portable(options), config.preprocessing


def _portable(options: Any) -> Any:
    """A detector's options without paths of this machine: weights are named by their file alone."""
    if isinstance(options, dict):
        return {k: Path(v).name if k == "weights" else _portable(v) for k, v in options.items()}
    return list(options) if isinstance(options, tuple) else options


def _claim(run_dir: Path, config: TrainConfig, resume: bool, command: str) -> None:
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    path = run_dir / "config.yaml"
    if path.is_file() and not resume:
        raise ConfigError(f"{run_dir}: holds a run already; go on with --resume or choose another folder")
    if path.is_file() and yaml.safe_load(path.read_text(encoding="utf-8")) != yaml.safe_load(text):
        raise ConfigError(f"{run_dir}: cannot resume with another config; it was started with {path}")
    run_dir.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        path.write_text(text, encoding="utf-8")
        environment = json.dumps({"command": command, **describe_environment()}, indent=1)
        (run_dir / "environment.json").write_text(environment + "\n", encoding="utf-8")


def _cut_log(path: Path, step: int) -> None:
    """Drop what a killed run logged after the state from which it goes on."""
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if line.endswith("}") and json.loads(line)["step"] <= step]
        path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


def _log_progress(what: str) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        if done % 640 == 0 or done == total:
            log.info("%s: %d of %d", what, done, total)

    return report
