"""A run folder: claimed for one evaluation, and read again as its record, its metrics and its predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from tristream.atomic import write_text
from tristream.errors import ManifestError, UsageError
from tristream.evaluation.conditions import VIEWS
from tristream.evaluation.predictions import Pictures, read_conditions
from tristream.evaluation.summary import Summary

SHORT_DIGEST = 12
"""Digits of a sha256 that a table shows."""
M = TypeVar("M", bound=BaseModel)


class Recorded(BaseModel):
    """Part of a record: what a report does not read may stand there, too."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class RecordedCondition(Recorded):
    """A condition as its record has it; records of older releases hold the description alone."""

    description: str = ""
    family: str = ""
    severity: float | None = None
    parameters: dict[str, Any] = {}
    streams: tuple[str, ...] | None = None
    """The streams that were left, where some were masked."""


class RecordedCheckpoint(Recorded):
    """Which file was scored with."""

    name: str
    file: str = ""
    sha256: str


class RecordedDetector(Recorded):
    """What a detector started from and how it was trained, where its record says so."""

    name: str = ""
    initialisation: str | None = None
    deviations: tuple[str, ...] = ()
    seed: int | None = None
    training_data_sha256: str | None = None
    streams: tuple[str, ...] | None = None

    @field_validator("deviations", mode="before")
    @classmethod
    def _one_or_many(cls, given: Any) -> Any:
        return () if not given else (given,) if isinstance(given, str) else given


class RunRecord(Recorded):
    """What a report reads of record.json."""

    command: str = ""
    checkpoint: RecordedCheckpoint
    data: str
    split: str | None = None
    engine: str = ""
    precision: str = "32"
    manifest_digest: str
    conditions: dict[str, RecordedCondition]
    detector: RecordedDetector = RecordedDetector()

    @field_validator("conditions", mode="before")
    @classmethod
    def _with_families(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        conditions = {name: {"description": c} if isinstance(c, str) else c for name, c in given.items()}
        return {
            name: {"family": "view"} | c if isinstance(c, dict) and name in VIEWS else c
            for name, c in conditions.items()
        }


@dataclass(frozen=True, eq=False)
class Run:
    """One finished evaluation: its record, its metrics and, when they are asked for, its predictions."""

    folder: Path
    record: RunRecord
    summary: Summary

    @property
    def checkpoint(self) -> str:
        """The first digits of the checkpoint's sha256."""
        return self.record.checkpoint.sha256[:SHORT_DIGEST]

    @property
    def described(self) -> str:
        """Name, checkpoint, training seed where it is recorded, and seed of the bootstrap."""
        seed = self.record.detector.seed
        words = [self.record.checkpoint.name, f"checkpoint {self.checkpoint}"]
        words += [] if seed is None else [f"training seed {seed}"]
        words += [] if self.record.precision == "32" else [f"scored in {self.record.precision}"]
        return ", ".join([*words, f"bootstrap seed {self.summary.seed}, {self.summary.resamples} resamples"])

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """The table of predictions.parquet."""
        return pd.read_parquet(self.folder / "predictions.parquet")

    @cached_property
    def pictures(self) -> dict[str, Pictures]:
        """The scored pictures of each condition."""
        return read_conditions(self.predictions)


def find_runs(places: Sequence[Path]) -> list[Run]:
    """The runs in these folders: each is a run, or holds runs. Raises UsageError where there is none."""
    runs = []
    for place in places:
        folders = [place] if (place / "record.json").is_file() else sorted(p.parent for p in place.rglob("record.json"))
        if not folders:
            raise UsageError(f"{place}: holds no record.json; expected a folder that `tristream evaluate` wrote")
        runs += [read_run(folder) for folder in folders]
    return list({run.folder.resolve(): run for run in runs}.values())


def read_run(folder: Path) -> Run:
    """Read a run folder. Raises UsageError for one that is not finished or whose record is not one."""
    if not (folder / "record.json").is_file():
        raise UsageError(f"{folder}: holds no record.json; expected a folder that `tristream evaluate` wrote")
    if missing := [n for n in ("metrics.json", "predictions.parquet", "DONE") if not (folder / n).is_file()]:
        raise UsageError(f"{folder}: not finished, {' and '.join(missing)} missing; run its command again to go on")
    return Run(folder, parse_record(RunRecord, folder / "record.json"), parse_record(Summary, folder / "metrics.json"))


def parse_record(model: type[M], path: Path) -> M:
    """Read a JSON file. Raises UsageError for one that is not of this model."""
    try:
        return model.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UsageError(f"{path}: not a record of this release; {where}: {first['msg']}") from None


_NOT_COMPARED = {"command", "detector", "engine", "environment", "tristream", "data"}
"""Of a record: checkpoint and pictures have digests, and the rest says who computed, not what."""


def claim(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record, or make sure that the one there is of the same run, and leave it: it says who scored.

    Raises ManifestError for the record of another run, and for a file that is none.
    """
    if not path.is_file():
        write_text(path, json.dumps(record, indent=1) + "\n")
        return
    try:
        existing = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ManifestError(f"{path}: not a record ({error}); remove it or choose another output folder") from None
    told_apart = (record.keys() | existing.keys()) - _NOT_COMPARED
    different = sorted(key for key in told_apart if _identity(existing.get(key)) != _identity(record.get(key)))
    if different:
        raise ManifestError(
            f"{path.parent}: holds another run ({', '.join(different)} differ); choose another output folder"
        )


def _identity(value: Any) -> Any:
    """What has to be equal: of a condition its description, which is all that records of older releases have."""
    if not isinstance(value, dict):
        return value
    return {k: v["description"] if isinstance(v, dict) and "description" in v else v for k, v in value.items()}
