"""Tables of suites: every test set of a protocol, those whose data were not there included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tristream.evaluation.figures import Figure
from tristream.evaluation.record import parse_record
from tristream.evaluation.run_folder import Run
from tristream.evaluation.suites import MEASURES as SUITE_MEASURES
from tristream.evaluation.suites import RESULT, SuiteCell, SuiteResult
from tristream.evaluation.text import labelled
from tristream.report.contents import slug, view_name
from tristream.report.table import Cell, Row, Table, counts

MEASURES = labelled(*SUITE_MEASURES)
ORACLE = "Oracle accuracy: at the threshold that is best on the very pictures, which no detector knows."


@dataclass(frozen=True, eq=False)
class SuiteRun:
    """A suite and the folder of its evaluations."""

    folder: Path
    record: SuiteResult


def find_suites(places: Sequence[Path]) -> list[SuiteRun]:
    """The suites in these folders and below. Raises UsageError for a file that is not one of this release."""
    files = {path.resolve(): path for place in places for path in sorted(place.rglob(RESULT))}
    return [SuiteRun(path.parent, parse_record(SuiteResult, path)) for path in files.values()]


def tables_of_suites(suites: Sequence[SuiteRun], runs: Sequence[Run]) -> Iterator[tuple[SuiteRun, list[Table]]]:
    """A table per suite and condition: sets and their parts line by line, detectors side by side.

    runs: all of the report, in which those of the suites are looked up.
    """
    for number, suite in enumerate(suites):
        before = sum(other.record.suite == suite.record.suite for other in suites[:number])
        yield suite, _tables(suite, runs, f"-{before + 1}" if before else "")


def _tables(suite: SuiteRun, runs: Sequence[Run], ending: str) -> list[Table]:
    by_folder = {run.folder.resolve(): run for run in runs}
    tables = []
    for condition in dict.fromkeys(cell.condition for cell in suite.record.cells):
        cells = [cell for cell in suite.record.cells if cell.condition == condition]
        used = dict.fromkeys((suite.folder / cell.run).resolve() for cell in cells if cell.run is not None)
        found = tuple(by_folder[folder] for folder in used if folder in by_folder)
        gone = {cell.run for cell in cells if cell.run and (suite.folder / cell.run).resolve() not in by_folder}
        cells = [_without_run(cell) if cell.run in gone else cell for cell in cells]
        tables.append(_table(suite.record, condition, cells, found, ending))
    return tables


def _without_run(cell: SuiteCell) -> SuiteCell:
    """No figure without the run that it is of."""
    nothing = Figure(reason=f"its run {cell.run} is not there")
    return cell.model_copy(update={"run": None, "figures": dict.fromkeys(cell.figures, nothing)})


def _table(suite: SuiteResult, condition: str, cells: Sequence[SuiteCell], runs: tuple[Run, ...], ending: str) -> Table:
    detectors = list(dict.fromkeys(cell.checkpoint for cell in cells))
    shown = [(detector, measure) for detector in detectors for measure in _shown(detectors)]
    rows = []
    for place in dict.fromkeys((cell.set, cell.unit, cell.part) for cell in cells):
        found = {cell.checkpoint: cell for cell in cells if (cell.set, cell.unit, cell.part) == place}
        line = tuple(_cell(found.get(detector), detector, measure, condition, place) for detector, measure in shown)
        rows.append(Row((*place, *counts(line)), line))
    hidden = [m for m in MEASURES if m not in _shown(detectors)]
    return Table(
        name=f"suite-{slug(suite.suite)}-{slug(condition)}{ending}",
        title=f"Suite {suite.suite}, {view_name(condition)}",
        pictures=suite.description,
        labels=("set", "unit", "part", "real", "fake"),
        columns=tuple(MEASURES[m] if len(detectors) == 1 else f"{MEASURES[m]}, {d}" for d, m in shown),
        rows=tuple(rows),
        runs=runs,
        notes=(ORACLE,) if len(detectors) == 1 else (),
        unshown=tuple(
            _cell(cell, cell.checkpoint, measure, condition, (cell.set, cell.unit, cell.part))
            for cell in cells
            for measure in hidden
        ),
    )


def _shown(detectors: Sequence[str]) -> tuple[str, ...]:
    return tuple(MEASURES) if len(detectors) == 1 else ("auroc",)


def _cell(found: SuiteCell | None, detector: str, measure: str, condition: str, place: tuple[str, ...]) -> Cell:
    part = ", ".join(place)
    if found is None or measure not in found.figures:
        return Cell(Figure(reason=f"{detector} was not scored on this"), measure, detector, condition, part=part)
    n_real, n_fake = (found.n_real, found.n_fake) if found.run else (None, None)
    return Cell(found.figures[measure], measure, detector, condition, part=part, n_real=n_real, n_fake=n_fake)
