"""Paired differences of detectors on the same pictures, with p-values that Holm's procedure corrects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tristream.errors import UsageError
from tristream.evaluation.comparison import ComparedCondition, compare, least_p_value, made_alike, resamples_for
from tristream.evaluation.figures import Figure
from tristream.evaluation.run_folder import Run
from tristream.metrics.comparison import holm
from tristream.report.contents import runs_of, slug, view_name
from tristream.report.runs import Entry, ResultSet
from tristream.report.table import Cell, Row, Table, counts, over_seeds

_NO_DELONG = "DeLong's test is for pictures that are groups of their own, and for one pair of checkpoints"


def difference_table(pictures: ResultSet, base: Entry) -> Table:
    """AUROC of every other detector minus that of the baseline, under every view that both were scored under.

    Of detectors with several seeds it is the mean difference of equal seeds, without a p-value. The Holm correction is
    over all p-values of the bootstrap in the table.
    """
    views = [view for view in pictures.family("view") if base.runs_of(view)]
    others = [entry for entry in pictures.entries if entry is not base]
    resamples = resamples_for(len(others) * len(views), max(run.summary.resamples for run in base.runs))
    found = [_compared(entry, base, view, resamples) for entry in others for view in views]
    tested = [one.p_value.value for one in found if one.p_value.value is not None]
    corrected = iter(holm(tested))
    rows = []
    for one in found:
        adjusted = one.p_value if one.p_value.value is None else Figure(value=next(corrected))
        tests = {"p_value": one.p_value, "p_value_holm": adjusted, "p_value_delong": one.p_value_delong}
        p_cells = (replace(one.cell, figure=f, measure=m, std=None, seeds=1) for m, f in tests.items())
        cells = (one.cell, *p_cells)
        rows.append(Row((one.cell.detector, view_name(one.cell.condition), *counts(cells)), cells))
    return Table(
        name=f"differences-{slug(pictures.title)}",
        title=f"Paired differences in AUROC from {base.name}",
        pictures=pictures.title,
        labels=("difference", "view", "real", "fake"),
        columns=("AUROC difference", "p", "p (Holm)", "p (DeLong)"),
        rows=tuple(rows),
        runs=runs_of(pictures.entries, views),
        notes=(
            "Both detectors on the same resamples of the same pictures; groups are resampled whole.",
            f"Two-sided p-values of that bootstrap, {resamples} resamples; Holm's correction is for the {len(tested)} "
            f"of this table: none can be below {least_p_value(len(tested), resamples):.2g}.",
        ),
    )


@dataclass(frozen=True)
class _Compared:
    """One detector minus the baseline under one view."""

    cell: Cell
    p_value: Figure
    p_value_delong: Figure


def _compared(entry: Entry, base: Entry, view: str, resamples: int) -> _Compared:
    ours, theirs = entry.runs_of(view), base.runs_of(view)
    name, checkpoints = f"{entry.name} − {base.name}", tuple(run.checkpoint for run in (*ours, *theirs))
    cell = Cell(Figure(), "auroc_difference", name, view, checkpoints)
    try:
        found = [_difference(a, b, view, resamples) for a, b in _pairs(ours, theirs)]
        why_none = "no two runs with the same training seed" if ours else f"no record of {entry.name} under this view"
    except UsageError as error:
        found, why_none = [], str(error)
    if not found:
        missing = Figure(reason=why_none)
        return _Compared(replace(cell, figure=missing), missing, missing)
    cell = replace(cell, n_real=found[0].n_real, n_fake=found[0].n_fake)
    if len(found) > 1:
        cell = replace(cell, **over_seeds([one.difference for one in found], len(found)))
        return _Compared(cell, Figure(reason=f"no p-value over {len(found)} seeds"), Figure(reason=_NO_DELONG))
    auroc = found[0].figures["auroc"]
    p_value = Figure(value=auroc.p_value, reason=None if auroc.p_value is not None else auroc.difference.reason)
    delong = auroc.p_value_delong
    return _Compared(
        replace(cell, figure=auroc.difference),
        p_value,
        Figure(value=delong, reason=None if delong is not None else _NO_DELONG),
    )


def _pairs(ours: Sequence[Run], theirs: Sequence[Run]) -> list[tuple[Run, Run]]:
    """Runs of equal training seeds; a detector with one checkpoint is paired with each of the other's."""
    if len(ours) == 1 or len(theirs) == 1:
        return [(a, b) for a in ours for b in theirs]
    return [(a, b) for a in ours for b in theirs if a.record.detector.seed == b.record.detector.seed]


def _difference(a: Run, b: Run, view: str, resamples: int) -> ComparedCondition:
    if not made_alike(a, b, view):
        raise UsageError(f"{view_name(view)} was not made the same way for both")
    tables = [run.predictions[run.predictions["condition"] == view] for run in (a, b)]
    return compare(*tables, seed=a.summary.seed, resamples=resamples).conditions[view]
