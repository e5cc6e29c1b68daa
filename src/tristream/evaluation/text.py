"""A summary as a table for people: every figure with its n and interval, a dash with the reason where there is none."""

from __future__ import annotations

from rich.table import Table

from tristream.evaluation.figures import Figure
from tristream.evaluation.summary import ConditionSummary, Summary

OVERALL = (
    "auroc",
    "average_precision",
    "balanced_accuracy_at_threshold",
    "equal_error_rate",
    "expected_calibration_error",
)
"""Figures of the line on all pictures; metrics.json has them all."""


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
        table.add_row(measure.replace("_", " "), figure_text(row.figures.get(measure)))
    mean = condition.mean_generator_auroc
    table.add_row(f"mean auroc of {mean.n_generators} generators", figure_text(mean))
    return table


def _parts(name: str, condition: ConditionSummary) -> Table:
    table = Table(title=f"{name}: fakes of one generator against all reals, reals of one source against all fakes")
    for column in ("generator or photo source", "n", "auroc", "accuracy at the stored threshold"):
        table.add_column(column)
    for label, rows in (("fake", condition.generators), ("real", condition.sources)):
        for part, row in rows.items():
            count = row.n_fake if label == "fake" else row.n_real
            accuracy = row.figures.get(f"{label}_accuracy_at_threshold")
            table.add_row(f"{part} ({label})", str(count), figure_text(row.figures.get("auroc")), figure_text(accuracy))
        table.add_section()
    return table
