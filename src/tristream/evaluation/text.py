"""A summary as a table for people: every figure with its n and interval, a dash with the reason where there is none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from rich.table import Table

from tristream.evaluation.comparison import RunComparison
from tristream.evaluation.figures import Figure
from tristream.evaluation.suites import SuiteResult
from tristream.evaluation.summary import ConditionSummary, Summary

WORDS = {
    "auroc": "AUROC",
    "average_precision": "AP",
    "equal_error_rate": "EER",
    "tpr_at_5_percent_fpr": "TPR at 5 % FPR",
    "expected_calibration_error": "ECE",
    "oracle_accuracy": "oracle accuracy",
    "accuracy_at_zero": "accuracy, logit 0",
    "balanced_accuracy_at_half": "balanced accuracy, P = 0.5",
    "balanced_accuracy_at_threshold": "balanced accuracy",
    "fake_accuracy_at_threshold": "called fake",
    "real_accuracy_at_threshold": "called real",
}
"""What tables call a measure; balanced accuracy without more is at the stored threshold."""
OVERALL = (
    "auroc",
    "average_precision",
    "balanced_accuracy_at_threshold",
    "equal_error_rate",
    "expected_calibration_error",
)
"""Figures of the line on all pictures; metrics.json has them all."""


def labelled(*measures: str) -> dict[str, str]:
    """What tables call these measures, by name."""
    return {measure: WORDS[measure] for measure in measures}


def figure_text(figure: Figure | None) -> str:
    """`0.912 [0.881, 0.940]`, without brackets where there is no interval, or a dash.

    >>> figure_text(Figure(value=0.9116, low=0.88, high=0.94)), figure_text(Figure(reason="no fake pictures"))
    ('0.912 [0.880, 0.940]', '—')
    """
    if figure is None or figure.value is None:
        return "—"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def summary_tables(summary: Summary) -> list[Table]:
    """Per condition one table on all pictures and one per generator and photo source."""
    tables = []
    for name, condition in summary.conditions.items():
        tables += [_overall(name, condition), _parts(name, condition)]
    return tables


def _overall(name: str, condition: ConditionSummary) -> Table:
    row = condition.overall
    table = Table(title=f"{name}: {row.n_real} real, {row.n_fake} fake, {row.n_failed} failed", title_justify="left")
    table.add_column("figure")
    table.add_column("value [95 % interval]")
    for measure in OVERALL:
        table.add_row(measure.replace("_", " "), _with_reason(row.figures.get(measure)))
    mean = condition.mean_generator_auroc
    table.add_row(f"mean auroc of {mean.n_generators} generators", _with_reason(mean))
    return table


def _with_reason(figure: Figure | None) -> str:
    reason = figure.reason if figure else None
    return f"{figure_text(figure)} ({reason})" if reason else figure_text(figure)


def _parts(name: str, condition: ConditionSummary) -> Table:
    table = Table(title=f"{name}: fakes of one generator against all reals, reals of one source against all fakes")
    matched = ("auroc, reals of the same content",) if condition.matched else ()
    for column in ("generator or photo source", "n", "auroc", *matched, "accuracy at the stored threshold"):
        table.add_column(column, overflow="fold")
    for label, rows in (("fake", condition.generators), ("real", condition.sources)):
        for part, row in rows.items():
            count = row.n_fake if label == "fake" else row.n_real
            accuracy = row.figures.get(f"{label}_accuracy_at_threshold")
            same = condition.matched.get(part) if label == "fake" else None
            beside = [figure_text(same.figures["auroc"]) if same else ""] if matched else []
            auroc = figure_text(row.figures.get("auroc"))
            table.add_row(f"{part} ({label})", str(count), auroc, *beside, figure_text(accuracy))
        table.add_section()
    return table


def parameters_in_words(parameters: Mapping[str, object]) -> str:
    """As in a table's cell.

    >>> parameters_in_words({"quality": 30, "shift_px": 4, "scale": 0.25})
    'quality 30, shift px 4, scale 0.25'
    """
    return ", ".join(
        f"{key.replace('_', ' ')} {f'{value:.4g}' if isinstance(value, float) else value}"
        for key, value in parameters.items()
    )


def condition_table(summary: Summary, parameters: Mapping[str, Mapping[str, object]]) -> Table:
    """One line per condition: what it does, AUROC, and balanced accuracy at the stored threshold. parameters: by name
    of the condition."""
    table = Table(title="[95 % interval]", title_justify="left")
    for column in ("condition", "setting", "real", "fake", "failed", "auroc", "balanced accuracy"):
        table.add_column(column)
    for name, condition in summary.conditions.items():
        row = condition.overall
        figures = [row.figures.get(measure) for measure in ("auroc", "balanced_accuracy_at_threshold")]
        setting = parameters_in_words(parameters.get(name, {}))
        table.add_row(name, setting, str(row.n_real), str(row.n_fake), str(row.n_failed), *map(figure_text, figures))
    return table


def gap_line(summary: Summary) -> str | None:
    """The shortcut gap in words, where both views were scored."""
    if summary.shortcut_gap is None:
        return None
    return f"shortcut gap, AUROC as delivered minus everything alike: {figure_text(summary.shortcut_gap.difference)}"


def failed_lines(out: Path, most: int = 3) -> list[str]:
    """Why pictures of a recorded run have no score: the first few, and where the others stand."""
    found = pd.read_parquet(out / "predictions.parquet", columns=["id", "error"])
    errors = found[found["error"] != ""].drop_duplicates("id")["error"].tolist()
    lines = [f"not scored: {error}" for error in errors[:most]]
    more = len(errors) - most
    return [*lines, f"and {more} more, in the column 'error' of {out / 'predictions.parquet'}"] if more > 0 else lines


def ablation_table(title: str, rows: Mapping[tuple[str, ...], ConditionSummary]) -> Table:
    """One line per subset of the streams, the larger ones first."""
    table = Table(title=title, title_justify="left")
    for column in ("streams", "real", "fake", "auroc", "balanced accuracy, its own threshold"):
        table.add_column(column)
    for streams, condition in sorted(rows.items(), key=lambda item: -len(item[0])):
        row = condition.overall
        figures = [row.figures.get(measure) for measure in ("auroc", "balanced_accuracy_at_threshold")]
        table.add_row(" + ".join(streams), str(row.n_real), str(row.n_fake), *map(figure_text, figures))
    return table


def shares_table(title: str, shares: Mapping[str, Figure]) -> Table:
    """The Shapley value of each stream."""
    table = Table(title=title, title_justify="left")
    for column in ("stream", "Shapley value in auroc (no stream: 0.5)"):
        table.add_column(column)
    for stream, figure in shares.items():
        table.add_row(stream, figure_text(figure))
    return table


def comparison_tables(comparison: RunComparison) -> list[Table]:
    """One table per pair of runs and condition; the intervals of A and B alone are in the JSON."""
    tables: dict[tuple[str, str, str], Table] = {}
    for found in comparison.differences:
        key = (found.run_a, found.run_b, found.condition)
        if key not in tables:
            counts = f"{found.condition}: {found.n_real} real, {found.n_fake} fake, {found.n_failed} failed"
            tables[key] = Table(title=f"A: {key[0]}\nB: {key[1]}\n{counts}", title_justify="left")
            for column in ("figure", "A", "B", "A - B", "p", "Holm", "DeLong"):
                tables[key].add_column(column)
        figure = found.figure
        values = (figure.a.value, figure.b.value)
        p_values = (figure.p_value, found.p_value_holm, figure.p_value_delong)
        tables[key].add_row(
            WORDS.get(found.measure, found.measure),
            *("—" if value is None else f"{value:.3f}" for value in values),
            figure_text(figure.difference),
            *("—" if p is None else f"{p:.3f}" for p in p_values),
        )
    return list(tables.values())


def suite_table(result: SuiteResult) -> Table:
    """One line per detector, set, condition and part; below it, why cells are empty."""
    table = Table(title=f"{result.suite}: {result.description}", title_justify="left")
    shown = labelled("auroc", "average_precision", "accuracy_at_zero")
    for column in ("detector", "set", "condition", "unit", "part", "real", "fake", *shown.values()):
        table.add_column(column)
    for cell in result.cells:
        figures = [figure_text(cell.figures.get(measure)) for measure in shown]
        counts = (str(cell.n_real), str(cell.n_fake))
        table.add_row(cell.checkpoint, cell.set, cell.condition, cell.unit, cell.part, *counts, *figures)
    reasons = {f"{cell.set}: {f.reason}" for cell in result.cells if cell.run is None for f in cell.figures.values()}
    table.caption = "\n".join(sorted(reasons)) or None
    return table
