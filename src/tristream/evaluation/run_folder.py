"""A finished run, read again: its record, its metrics and its predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from tristream.atomic import write_text
from tristream.data.files import file_facts
from tristream.errors import UsageError
from tristream.evaluation.predictions import Pictures, read_conditions
from tristream.evaluation.record import RunRecord, parse_record
from tristream.evaluation.summary import Summary

SHORT_DIGEST = 12
"""Digits of a sha256 that a table shows."""
DONE = "DONE"
FINISHED = ("metrics.json", "predictions.parquet")
"""The files whose digests it holds."""


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
        words += [f"scored in {reduced}"] if (reduced := self.record.reduced_precision) else []
        return ", ".join([*words, f"bootstrap seed {self.summary.seed}, {self.summary.resamples} resamples"])

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """The table of predictions.parquet."""
        return pd.read_parquet(self.folder / "predictions.parquet")

    @cached_property
    def pictures(self) -> dict[str, Pictures]:
        """The scored pictures of each condition."""
        return read_conditions(self.predictions)


def finish(folder: Path) -> None:
    """Say that a run is whole: DONE, which `sha256sum -c` reads."""
    lines = [f"{file_facts(folder / name, ['sha256'])['sha256']}  {name}\n" for name in FINISHED]
    write_text(folder / DONE, "".join(lines))


def check_finished(folder: Path) -> None:
    """Raise UsageError for a run that is not whole, or whose files were changed since: older releases cannot tell."""
    if missing := [name for name in (*FINISHED, DONE) if not (folder / name).is_file()]:
        raise UsageError(f"{folder}: not finished, {' and '.join(missing)} missing; run its command again to go on")
    for line in (folder / DONE).read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        if name in FINISHED and file_facts(folder / name, ["sha256"])["sha256"] != digest:
            raise UsageError(f"{folder / name}: is not what the run wrote; remove {DONE} and run its command again")


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
    check_finished(folder)
    return Run(folder, parse_record(RunRecord, folder / "record.json"), parse_record(Summary, folder / "metrics.json"))
