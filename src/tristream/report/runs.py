"""Run folders as a report reads them, and which runs are one detector on the same pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from tristream.errors import UsageError
from tristream.evaluation.conditions import VIEWS
from tristream.evaluation.figures import Pictures, read_conditions
from tristream.evaluation.summary import ConditionSummary, Summary

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


@dataclass(frozen=True, eq=False)
class Entry:
    """One detector on one set of pictures: for each of its checkpoints (one, or one per training seed) its runs."""

    name: str
    checkpoints: tuple[tuple[Run, ...], ...]

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs, checkpoint by checkpoint."""
        return tuple(run for runs in self.checkpoints for run in runs)

    @property
    def detector(self) -> RecordedDetector:
        """What the record of its first run says of the detector."""
        return self.runs[0].record.detector

    def runs_of(self, condition: str) -> tuple[Run, ...]:
        """One run per checkpoint that was scored under the condition."""
        found = (next((r for r in runs if condition in r.summary.conditions), None) for runs in self.checkpoints)
        return tuple(run for run in found if run is not None)

    def summaries(self, condition: str) -> tuple[ConditionSummary, ...]:
        """The figures of each checkpoint under the condition."""
        return tuple(run.summary.conditions[condition] for run in self.runs_of(condition))


@dataclass(frozen=True, eq=False)
class PictureSet:
    """All entries on the same pictures."""

    title: str
    entries: tuple[Entry, ...]

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs, entry by entry."""
        return tuple(run for entry in self.entries for run in entry.runs)

    def find(self, detector: str) -> Entry | None:
        """The entry of that name, or with a checkpoint of these digits."""
        return next((e for e in self.entries if detector in (e.name, *(run.checkpoint for run in e.runs))), None)

    @cached_property
    def conditions(self) -> dict[str, RecordedCondition]:
        """Every condition that some run was scored under; views come first."""
        found: dict[str, RecordedCondition] = {}
        for run in self.runs:
            for name in run.summary.conditions:
                found.setdefault(name, run.record.conditions.get(name, RecordedCondition()))
        return {n: found[n] for n in VIEWS if n in found} | {n: c for n, c in found.items() if n not in VIEWS}

    def family(self, *names: str) -> dict[str, RecordedCondition]:
        """The conditions of these families."""
        return {name: c for name, c in self.conditions.items() if c.family in names}


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


def arrange(runs: Iterable[Run]) -> list[PictureSet]:
    """Group runs by the pictures that they scored, and there by detector.

    Runs of one checkpoint are one entry. Checkpoints of one name with different recorded seeds are one entry, too, as
    seeds of one training; without recorded seeds they are told apart by their digests.
    """
    sets: dict[str, list[Run]] = {}
    for run in runs:
        sets.setdefault(run.record.manifest_digest, []).append(run)
    titles = [_title(found[0]) for found in sets.values()]
    return [
        PictureSet(title if titles.count(title) == 1 else f"{title} ({digest[:SHORT_DIGEST]})", _entries(found))
        for title, (digest, found) in zip(titles, sets.items(), strict=True)
    ]


def _title(run: Run) -> str:
    return run.record.data + (f", split {run.record.split}" if run.record.split else "")


def _entries(runs: list[Run]) -> tuple[Entry, ...]:
    named: dict[str, dict[str, list[Run]]] = {}
    for run in runs:
        by_checkpoint = named.setdefault(run.record.checkpoint.name, {})
        by_checkpoint.setdefault(run.record.checkpoint.sha256, []).append(run)
    entries = []
    for name, by_checkpoint in named.items():
        seeds = [found[0].record.detector.seed for found in by_checkpoint.values()]
        if None not in seeds and len(set(seeds)) == len(seeds):
            entries.append(Entry(name, tuple(tuple(found) for found in by_checkpoint.values())))
        else:
            entries += [
                Entry(f"{name} ({found[0].checkpoint})" if len(seeds) > 1 else name, (tuple(found),))
                for found in by_checkpoint.values()
            ]
    return tuple(entries)
