"""Ablation by retraining: every subset of the streams trained by the one trainer, calibrated and evaluated alike."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from tristream.atomic import write_text
from tristream.config import StrictModel, validate
from tristream.errors import UndefinedMetricError, UsageError
from tristream.evaluation.calibrate import calibrate_checkpoint
from tristream.evaluation.checkpoint import PictureSet, evaluate_checkpoint
from tristream.evaluation.conditions import STREAMS, USUAL, subsets
from tristream.evaluation.figures import Figure
from tristream.evaluation.paired import stream_shares
from tristream.evaluation.predictions import read_conditions
from tristream.evaluation.record import claim, parse_record
from tristream.evaluation.summary import ConditionSummary, Summary
from tristream.training.config import ObjectiveConfig, TrainConfig
from tristream.training.trainer import StepReport, train
from tristream.typing import Progress

log = logging.getLogger(__name__)

RESULT = "retrained.json"
CALIBRATED = "detector.safetensors"


class RetrainedAblation(StrictModel):
    """What `retrained.json` holds."""

    seed: int
    """Of all training runs."""
    folders: dict[str, str]
    """By the streams that were left, joined by +: the folder of its evaluation, in that of this file."""
    stream_shares: dict[str, dict[str, Figure]]
    """By condition: the Shapley value of each stream in the AUROC. The intervals are over pictures, not over training
    seeds."""

    @property
    def whole(self) -> str:
        """The streams of the one that has all."""
        return max(self.folders, key=lambda name: name.count("+"))


def ablate_retrained(
    config: TrainConfig,
    pictures: PictureSet,
    out: Path,
    calibration: PictureSet | None,
    *,
    device: str = "auto",
    precision: str = "32",
    seed: int = 0,
    on_step: Callable[[str, StepReport], None] | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> RetrainedAblation:
    """Train, calibrate and evaluate each subset of the config's streams, the smaller ones first.

    Into `out`/<streams>: run/ (as `train`), detector.safetensors (calibrated), evaluation/ (as `evaluate`). What is
    finished is kept, and a killed run goes on; what frozen streams make of the pictures is shared (`out`/embeddings).
    calibration: as in `evaluation.ablation.ablate`; None leaves the thresholds out. precision: of the evaluation. seed:
    of the bootstrap. Loss terms that need a stream which is left out are left out. Raises UsageError for a config of
    another detector, and what `train` and `evaluate_checkpoint` raise.
    """
    if config.detector.get("name", "multistream") != "multistream" or config.init_from is not None:
        raise UsageError("retraining without a stream needs a config of a new multistream detector, without init_from")
    folders, tables = {}, {}
    every = tuple(config.detector.get("streams", STREAMS))
    for streams in subsets(every):
        name = "+".join(streams)
        folder = out / name

        def report(step: StepReport, name: str = name) -> None:
            if on_step:
                on_step(name, step)

        train(
            of_streams(config, streams), folder / "run", resume=True, embeddings=out / "embeddings", on_step=report,
            command=command,
        )  # fmt: skip
        _calibrate(folder, calibration, device, progress)
        evaluate_checkpoint(
            checkpoint_in(folder), pictures, folder / "evaluation", device=device, precision=precision, seed=seed,
            progress=progress, command=command,
        )  # fmt: skip
        folders[name] = f"{name}/evaluation"
        tables[frozenset(streams)] = read_conditions(pd.read_parquet(folder / "evaluation" / "predictions.parquet"))
    resamples = summary_of(out, folders["+".join(every)]).resamples
    result = RetrainedAblation(
        seed=config.seed,
        folders=folders,
        stream_shares={
            view: stream_shares({s: t[view] for s, t in tables.items()}, resamples=resamples, seed=seed)
            for view in USUAL
        },
    )
    write_text(out / RESULT, result.model_dump_json(indent=1) + "\n")
    return result


def of_streams(config: TrainConfig, streams: tuple[str, ...]) -> TrainConfig:
    """The same run with these streams alone: without the loss terms, frozen modules and rates of the others.

    Raises ConfigError where no loss term is left.
    """
    detector: dict[str, Any] = {**config.detector, "streams": list(streams)}
    kept = {name: term for name, term in config.objectives.items() if _is_of(name, term, streams)}
    others = tuple(f"streams.{name}." for name in config.detector.get("streams", STREAMS) if name not in streams)
    frozen = tuple(module for module in config.frozen if not f"{module}.".startswith(others))
    rates = {name: rate for name, rate in config.optim.multipliers.items() if not f"{name}.".startswith(others)}
    update: dict[str, Any] = {
        "detector": detector, "objectives": kept, "frozen": frozen, "name": f"{config.name}-{'+'.join(streams)}",
        "optim": config.optim.model_copy(update={"multipliers": rates}),
    }  # fmt: skip
    if "distillation" not in kept:
        update["teacher"] = None
    return validate(TrainConfig, config.model_copy(update=update).model_dump(), f"retraining {'+'.join(streams)} alone")


def _is_of(name: str, term: ObjectiveConfig, streams: tuple[str, ...]) -> bool:
    return name != "distillation" or term.options.get("stream", "semantic") in streams


def _calibrate(folder: Path, calibration: PictureSet | None, device: str, progress: Progress | None) -> None:
    if calibration is None or calibration.split is None:
        return
    best, output = folder / "run/checkpoints/best.safetensors", folder / CALIBRATED
    claim(output.with_suffix(".json"), calibration.record(calibration.read()))
    if output.is_file():
        return
    try:
        calibrate_checkpoint(
            best, calibration.data, calibration.split, output, domain=None, device=device, progress=progress
        )
    except (UsageError, UndefinedMetricError) as error:  # its fakes do not score above its reals
        log.warning("%s has no thresholds: %s", best, error)


def checkpoint_in(folder: Path) -> Path:
    """What was trained in the folder of a subset: calibrated where that was possible."""
    calibrated = folder / CALIBRATED
    return calibrated if calibrated.is_file() else folder / "run/checkpoints/best.safetensors"


def summary_of(out: Path, folder: str) -> Summary:
    """The metrics of one of the evaluations."""
    return parse_record(Summary, out / folder / "metrics.json")


def by_streams(out: Path, result: RetrainedAblation, condition: str) -> Mapping[tuple[str, ...], ConditionSummary]:
    """The figures of every subset under one condition."""
    return {
        tuple(name.split("+")): summary_of(out, folder).conditions[condition] for name, folder in result.folders.items()
    }
