"""`tristream report`: tables and plots from run records, or from anybody's scores."""

from __future__ import annotations

import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tristream.cli.options import Split
from tristream.errors import UsageError, needs_extra


class Format(StrEnum):
    """What a report is written as."""

    MARKDOWN = "markdown"
    LATEX = "latex"
    CSV = "csv"
    HTML = "html"


def report(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[RUN]...", help="Folders of recorded runs, or folders that hold some."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder for report.md, .tex, .csv and .html.", show_default="print"),
    ] = None,
    format: Annotated[
        list[Format] | None,
        typer.Option("--format", help="Repeatable.", show_default="all into OUT, or markdown where there is none"),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Compare the others with this detector, picture by picture: a run's folder, or a name in a table.",
        ),
    ] = None,
    reported: Annotated[
        bool, typer.Option("--reported", help="Append figures that papers report, in tables of their own.")
    ] = False,
    title: Annotated[str, typer.Option(help="Heading.")] = "Report",
    scores: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Scores of any detector: path (or sha256), score, and perhaps condition."),
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", "-d", help="The manifest that --scores are joined to.")] = None,
    split: Split = None,
    name: Annotated[
        str | None, typer.Option(help="Of the detector of --scores.", show_default="that of the file")
    ] = None,
    scores_are_probabilities: Annotated[
        bool, typer.Option("--scores-are-probabilities", help="Scores are P(fake), in [0, 1].")
    ] = False,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Score from which a picture is called fake, chosen on other pictures; for balanced accuracy.",
            show_default="none: that figure is missing",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the bootstrap of --scores.")] = 0,
) -> None:
    """Make tables and plots from run records alone: every figure with n and interval, every table with its runs.

    A figure that is missing is a dash with its reason. With --scores, the scores of any detector become a run first,
    which is kept in OUT/NAME.

    [bold]Examples[/bold]

    tristream report results/mine results/theirs -o report --baseline results/theirs

    tristream report results/mine --format latex

    tristream report results/mine --scores theirs.csv --data photos/split.csv --split test -o report
    """
    with needs_extra("report", "data"):
        from tristream.data.files import short_name
        from tristream.evaluation.checkpoint import PictureSet
        from tristream.evaluation.run_folder import find_runs
        from tristream.report.contents import slug
        from tristream.report.report import FORMATS, make_report, write_report
        from tristream.report.scores import run_from_scores
        from tristream.report.suites import find_suites

    places = list(runs or ())
    if scores is not None:
        if data is None or out is None:
            raise UsageError("--scores needs --data, the manifest to join, and --out, where the run is kept")
        manifest = PictureSet(data, split).read()
        place = out / (slug(name or "") or scores.stem)
        joined = run_from_scores(
            scores,
            manifest,
            place,
            data=short_name(data),
            split=split,
            command=shlex.join(["tristream", *sys.argv[1:]]),
            name=name,
            are_probabilities=scores_are_probabilities,
            threshold=threshold,
            seed=seed,
        )
        for sentence in joined.sentences():
            typer.echo(f"{scores.name}: {sentence}", err=True)
        places.append(place)
    if not places:
        raise UsageError("name the folders of recorded runs, or --scores")
    if baseline is not None and (named := find_runs([Path(baseline)] if Path(baseline).is_dir() else [])):
        baseline = named[0].checkpoint
    made = make_report(find_runs(places), find_suites(places), baseline=baseline, reported=reported, title=title)
    if out is not None:
        for path in write_report(made, out, format or FORMATS):
            typer.echo(str(path))
        return
    if len(format or ()) > 1:
        raise UsageError("several formats need --out, a folder to write them to")
    typer.echo(FORMATS[(format or [Format.MARKDOWN])[0]](made), nl=False)
