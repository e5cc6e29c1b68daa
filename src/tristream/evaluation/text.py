"""A summary as a table for people: every figure with its n and interval, a dash with the reason where there is none."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from tristream.evaluation.comparison import RunComparison
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


def condition_table(summary: Summary) -> Table:
    """One line per condition: AUROC, and balanced accuracy at the stored threshold."""
    table = Table(title="[95 % interval]", title_justify="left")
    for column in ("condition", "real", "fake", "failed", "auroc", "balanced accuracy"):
        table.add_column(column)
    for name, condition in summary.conditions.items():
        row = condition.overall
        figures = [row.figures.get(measure) for measure in ("auroc", "balanced_accuracy_at_threshold")]
        table.add_row(name, str(row.n_real), str(row.n_fake), str(row.n_failed), *map(figure_text, figures))
    return table


def gap_line(summary: Summary) -> str | None:
    """The shortcut gap in words, where both views were scored."""
    if summary.shortcut_gap is None:
        return None
    return f"shortcut gap, AUROC as delivered minus everything alike: {figure_text(summary.shortcut_gap.difference)}"


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
    """One table per pair of runs."""
    tables: dict[tuple[str, str], Table] = {}
    for found in comparison.differences:
        pair = (found.run_a, found.run_b)
        if pair not in tables:
            tables[pair] = table = Table(title=f"A: {pair[0]}\nB: {pair[1]}", title_justify="left")
            columns = ("condition", "figure", "real", "fake", "A", "B", "A - B", "p", "p (Holm)", "p (DeLong)")
            for column in columns:
                table.add_column(column)
        figure = found.figure
        p_values = (figure.p_value, found.p_value_holm, figure.p_value_delong)
        tables[pair].add_row(
            found.condition, found.measure.replace("_", " "), str(found.n_real), str(found.n_fake),
            *map(figure_text, (figure.a, figure.b, figure.difference)),
            *("—" if p is None else f"{p:.3f}" for p in p_values),
        )  # fmt: skip
    return list(tables.values())
