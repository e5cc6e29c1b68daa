"""A report: the tables and plots of some runs, written in the formats that are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tristream import __version__
from tristream.errors import UsageError
from tristream.evaluation.run_folder import Run
from tristream.report.ablation import masked_table, retrained_shares_table, retrained_table, shares_table
from tristream.report.attacks import attack_table, success_table
from tristream.report.contents import (
    gap_table,
    generator_table,
    matched_table,
    overall_table,
    robustness_table,
    source_table,
    view_name,
)
from tristream.report.differences import difference_table
from tristream.report.formats import csv_report, latex_report, markdown_report
from tristream.report.page import Section, html_page
from tristream.report.plots import ablation_bars, plots
from tristream.report.reported import reported_tables
from tristream.report.runs import Entry, ResultSet, arrange
from tristream.report.suites import SuiteRun, tables_of_suites
from tristream.report.table import Table

REPORTED = "Reported elsewhere, not measured here"


@dataclass(frozen=True)
class Report:
    """What the formats are made from."""

    title: str
    introduction: str
    sections: tuple[Section, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        """All tables, section by section."""
        return tuple(table for section in self.sections for table in section.tables)


FORMATS: dict[str, Callable[[Report], str]] = {
    "markdown": lambda report: markdown_report(report.title, report.introduction, report.tables),
    "latex": lambda report: latex_report(report.tables),
    "csv": lambda report: csv_report(report.tables),
    "html": lambda report: html_page(report.title, report.introduction, report.sections),
}
SUFFIXES = {"markdown": ".md", "latex": ".tex", "csv": ".csv", "html": ".html"}


def make_report(
    runs: Sequence[Run],
    suites: Sequence[SuiteRun] = (),
    *,
    baseline: str | None = None,
    reported: bool = False,
    title: str = "Report",
) -> Report:
    """Arrange runs and make their tables and plots.

    baseline: name or checkpoint digits of the detector that the others are compared with, on every set of pictures that
    it was run on. reported: append what papers report, apart. Raises UsageError for a baseline that no set has, and for
    a name that several detectors of a set bear.
    """
    sets = arrange(runs)
    if baseline is not None:
        _check_baseline(baseline, sets)
    sections = [_section(pictures, pictures.find(baseline) if baseline else None) for pictures in sets]
    sections += [Section(f"Suite {suite.record.suite}", tables) for suite, tables in tables_of_suites(suites, runs)]
    if reported:
        sections.append(Section(REPORTED, reported_tables()))
    introduction = (
        f"Made by tristream {__version__} from {len(runs)} run records. Every figure stands with its number of "
        "pictures and, in brackets, its 95 % interval over groups of pictures; — is a figure that is missing, with the "
        "reason in a footnote."
    )
    return Report(title, introduction, tuple(sections))


def _check_baseline(baseline: str, sets: Sequence[ResultSet]) -> None:
    for pictures in sets:
        called = pictures.called(baseline)
        if called and pictures.find(baseline) is None:
            names = ", ".join(entry.name for entry in called)
            raise UsageError(f"{pictures.title}: '{baseline}' is not one detector but {names}; name it by its digits")
    if not any(pictures.find(baseline) for pictures in sets):
        names = ", ".join(dict.fromkeys(entry.name for pictures in sets for entry in pictures.entries))
        raise UsageError(f"no detector '{baseline}' to compare with; there are: {names}")


def _section(pictures: ResultSet, base: Entry | None) -> Section:
    views = pictures.family("view")
    masked, retrained = masked_table(pictures), retrained_table(pictures)
    success = success_table(pictures)
    tables = [
        overall_table(pictures),
        *(generator_table(pictures, view) for view in views),
        *(source_table(pictures, view) for view in views),
        *(matched_table(pictures, view) for view in views),
        gap_table(pictures),
        robustness_table(pictures),
        masked,
        shares_table(pictures),
        retrained,
        retrained_shares_table(pictures),
        attack_table(pictures),
        *([success] if len(success.columns) > 1 else []),
        *([difference_table(pictures, base)] if base else []),
    ]
    ablations = (
        ablation_bars(masked, lambda cell: cell.detector),
        ablation_bars(retrained, lambda cell: view_name(cell.condition)),
    )
    drawn = [*plots(pictures), *(plot for plot in ablations if plot is not None)]
    return Section(pictures.title, [table for table in tables if table.rows], drawn)


def write_report(report: Report, out: Path, formats: Iterable[str]) -> list[Path]:
    """Write report.md, .tex, .csv and .html, those of FORMATS that are asked for, into a folder that is made."""
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name in formats:
        path = out / f"report{SUFFIXES[name]}"
        path.write_text(FORMATS[name](report), encoding="utf-8")
        written.append(path)
    return written
