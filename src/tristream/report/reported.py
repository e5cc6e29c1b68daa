"""Figures that papers report, from `reported.yaml`: what was tested on what, and where it stands. Never ours."""

from __future__ import annotations

from importlib.resources import files

from tristream.config import StrictModel, parse_yaml, validate
from tristream.report.table import Row, Table


class ReportedFigure(StrictModel):
    """One quoted number."""

    detector: str
    tested_on: str
    value: str
    """As it is printed there."""


class ReportedTable(StrictModel):
    """A table of a paper, or the part of it that is quoted."""

    name: str
    title: str
    metric: str
    trained_on: str
    source: str
    """Authors, title, year."""
    where: str
    """The table's number, or where it stands."""
    url: str
    figures: tuple[ReportedFigure, ...]


class Reported(StrictModel):
    """What `reported.yaml` holds."""

    tables: tuple[ReportedTable, ...]


def reported() -> tuple[ReportedTable, ...]:
    """All quoted tables. Raises ConfigError for a file that is not one of them."""
    text = files("tristream.report").joinpath("reported.yaml").read_text(encoding="utf-8")
    return validate(Reported, parse_yaml(text, "reported.yaml"), "reported.yaml").tables


def reported_tables() -> list[Table]:
    """The quoted tables for a report; they hold texts, so that none of them passes for a measured figure."""
    return [
        Table(
            name=f"reported-{quoted.name}",
            title=f"Reported, not measured here: {quoted.title}",
            pictures=quoted.source,
            labels=("detector", "tested on", quoted.metric),
            columns=(),
            rows=tuple(Row((figure.detector, figure.tested_on, figure.value), ()) for figure in quoted.figures),
            runs=(),
            notes=(
                f"Trained on {quoted.trained_on}. {quoted.metric}, as printed in {quoted.where} of {quoted.source} "
                f"({quoted.url}).",
                "Other pictures, other training and other measures than in this report: no row of one is comparable "
                "with a row of the other.",
            ),
        )
        for quoted in reported()
    ]
