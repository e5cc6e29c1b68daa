"""The tables that every evaluation has: all pictures, per generator, per photo source, robustness."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import product

from tristream.evaluation.conditions import USUAL, ConditionRecord
from tristream.evaluation.record import known_in_words
from tristream.evaluation.run_folder import Run
from tristream.evaluation.summary import GENERATOR_MEASURES, SOURCE_MEASURES, ConditionSummary, Summary
from tristream.evaluation.text import labelled, parameters_in_words
from tristream.report.runs import Entry, ResultSet
from tristream.report.table import Cell, Found, Row, Table, cell_of, counts, of_all, of_part, summary_cell

MEASURES = labelled(
    "auroc", "average_precision", "balanced_accuracy_at_threshold", "equal_error_rate", "expected_calibration_error",
    "tpr_at_5_percent_fpr",
)  # fmt: skip
"""Columns of the table on all pictures."""
PART_MEASURES = labelled("auroc", "average_precision", "fake_accuracy_at_threshold", "real_accuracy_at_threshold")
VIEW_NAMES = {
    "delivered": "as delivered",
    "fakes_like_reals": "fakes re-encoded like the reals",
    "alike": "everything alike",
}
UNPERTURBED = "delivered"
_GAP = {"a": "as delivered", "b": "everything alike", "difference": "gap"}
NO_PERTURBATION = frozenset({"view", "masked", "attack", ""})
"""Families that are no perturbation."""

_AT_THRESHOLD = "Balanced accuracy is that at the threshold stored with the detector."
_EVEN_ODDS = "ECE is at even odds: each class has half of the weight."
_AGAINST = {
    "generators": "Each generator's fakes against all reals.",
    "sources": "Each photo source's reals against all fakes.",
    "matched": "Each generator's fakes against reals of the same content alone, such as the videos that faces were "
    "swapped into.",
}
_PART_TITLES = {
    "generators": "Per generator",
    "sources": "Per photo source",
    "matched": "Per generator, against reals of the same content",
}


def slug(text: str) -> str:
    """The letters and digits of a text, joined by hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def view_name(condition: str) -> str:
    """A view in the words of a table."""
    return VIEW_NAMES.get(condition, condition)


def runs_of(entries: Iterable[Entry], conditions: Iterable[str]) -> tuple[Run, ...]:
    """The runs that the figures of these conditions come from."""
    names = list(conditions)
    return tuple(dict.fromkeys(run for entry in entries for name in names for run in entry.runs_of(name)))


def overall_table(pictures: ResultSet) -> Table:
    """Every detector under every view."""
    views = pictures.family("view")
    recorded = any(entry.detector.initialisation for entry in pictures.entries)
    rows = []
    for entry in pictures.entries:
        start = (entry.detector.initialisation or "not recorded",) if recorded else ()
        for view in views:
            cells = tuple(cell_of(entry, view, measure, of_all(measure)) for measure in MEASURES)
            notes = (*entry.detector.deviations, *_failed(entry, view))
            rows.append(Row((entry.name, *start, view_name(view), *counts(cells)), cells, notes))
    return Table(
        name=f"overall-{slug(pictures.title)}",
        title="All pictures",
        pictures=pictures.title,
        labels=("detector", *(("initialisation",) if recorded else ()), "view", "real", "fake"),
        columns=tuple(MEASURES.values()),
        rows=tuple(rows),
        runs=runs_of(pictures.entries, views),
        notes=(_AT_THRESHOLD, _EVEN_ODDS, *remarks(pictures.entries, views)),
        unshown=tuple(_other_figures(pictures)),
    )


def _failed(entry: Entry, view: str) -> Iterator[str]:
    if failed := max((s.overall.n_failed for s in entry.summaries(view)), default=0):
        yield f"{failed} pictures could not be scored and count in no figure"


def remarks(entries: Iterable[Entry], conditions: Iterable[str]) -> Iterator[str]:
    """What a reader of figures under these conditions has to know of the runs, each remark once, with its detectors."""
    everybody: dict[str, None] = {}
    found: dict[str, dict[str, None]] = {}
    described: dict[str, dict[str, dict[str, None]]] = {}
    for entry, name in product(entries, list(conditions)):
        for run in entry.runs_of(name):
            everybody[entry.name] = None
            if run.record.reduced_precision is not None:
                found.setdefault(f"scored in {run.record.reduced_precision}", {})[entry.name] = None
            for use, count in (run.record.known or {}).items():
                found.setdefault(known_in_words(use, count), {})[entry.name] = None
            recorded = run.record.conditions.get(name)
            if recorded is not None and recorded.family != "attack":  # these name the detector's own threshold
                described.setdefault(name, {}).setdefault(recorded.description, {})[entry.name] = None
    for words, names in found.items():
        yield f"{'every detector' if names == everybody and len(names) > 1 else '; '.join(names)}: {words}."
    for name, ways in described.items():
        if len(ways) > 1:
            each = ". ".join(f"{'; '.join(names)}: {words}" for words, names in ways.items())
            yield f"The condition '{view_name(name)}' is not the same for all. {each}."


def _other_figures(pictures: ResultSet) -> Iterator[Cell]:
    """What metrics.json holds of all pictures and no table shows."""
    views = pictures.family("view")
    for entry in pictures.entries:
        for condition in pictures.conditions:
            summaries = entry.summaries(condition)
            measures = summaries[0].overall.figures if summaries else ()
            shown = MEASURES if condition in views else ("auroc",)
            yield from (cell_of(entry, condition, m, of_all(m)) for m in measures if m not in shown)


def generator_table(pictures: ResultSet, view: str) -> Table:
    """Each generator under one view, and their mean; with several detectors their AUROCs side by side."""
    return _part_table(pictures, view, "generators", GENERATOR_MEASURES)


def source_table(pictures: ResultSet, view: str) -> Table:
    """Each photo source under one view; with several detectors their AUROCs side by side."""
    return _part_table(pictures, view, "sources", SOURCE_MEASURES)


def matched_table(pictures: ResultSet, view: str) -> Table:
    """Each generator that has reals of the same content, against these."""
    return _part_table(pictures, view, "matched", ("auroc",))


def part_names(pictures: ResultSet, view: str, side: str) -> list[str]:
    """The generators ("generators", "matched") or the photo sources ("sources") of a view, by name."""
    return sorted({name for entry in pictures.entries for s in entry.summaries(view) for name in getattr(s, side)})


def _part_table(pictures: ResultSet, view: str, side: str, measures: tuple[str, ...]) -> Table:
    several = len(pictures.entries) > 1
    shown = [(entry, measure) for entry in pictures.entries for measure in (measures[:1] if several else measures)]
    parts = part_names(pictures, view, side)
    rows = []
    for part in parts:
        cells = tuple(cell_of(entry, view, measure, of_part(side, part, measure), part) for entry, measure in shown)
        rows.append(Row((part, *counts(cells)), cells))
    if side == "generators" and len(parts) > 1:
        means = tuple(
            cell_of(e, view, "mean_generator_auroc", _mean, "mean over generators") if m == "auroc" else None
            for e, m in shown
        )
        rows.append(Row((f"mean of {len(parts)} generators", *counts(means)), means))
    word = "photo source" if side == "sources" else "generator"
    return Table(
        name=f"{side}-{slug(view)}-{slug(pictures.title)}",
        title=f"{_PART_TITLES[side]}, {view_name(view)}",
        pictures=pictures.title,
        labels=(word, "real", "fake"),
        columns=tuple(f"AUROC, {e.name}" if several else PART_MEASURES[m] for e, m in shown),
        rows=tuple(rows),
        runs=runs_of(pictures.entries, [view]),
        notes=(_AGAINST[side], *remarks(pictures.entries, [view])),
        unshown=tuple(
            cell_of(entry, view, measure, of_part(side, part, measure), part)
            for entry in pictures.entries if several
            for part in parts
            for measure in measures[1:]
        ),
    )  # fmt: skip


def _mean(summary: ConditionSummary) -> Found:
    return Found(summary.mean_generator_auroc, summary.overall.n_real, summary.overall.n_fake)


def gap_table(pictures: ResultSet) -> Table:
    """The shortcut gap: what a detector loses when everything is re-encoded alike."""
    rows = []
    for entry in pictures.entries:
        why_none = (
            f"{entry.name}: the record is older than this figure; evaluate again"
            if all(entry.runs_of(view) for view in ("delivered", "alike"))
            else f"{entry.name} was not scored both as delivered and with everything alike"
        )
        cells = tuple(summary_cell(entry, f"shortcut_gap_{side}", _gap(side), why_none) for side in _GAP)
        rows.append(Row((entry.name, *counts(cells)), cells))
    having = [run for run in pictures.runs if run.summary.shortcut_gap is not None]
    return Table(
        name=f"gap-{slug(pictures.title)}",
        title="Shortcut gap, AUROC",
        pictures=pictures.title,
        labels=("detector", "real", "fake"),
        columns=tuple(_GAP.values()),
        rows=tuple(rows) if having else (),
        runs=tuple(having),
        notes=(
            "The difference is paired: both views of the same pictures in every resample.",
            *remarks([entry for entry in pictures.entries if any(run in having for run in entry.runs)], USUAL),
        ),
    )


def _gap(side: str) -> Callable[[Summary], Found | None]:
    def find(summary: Summary) -> Found | None:
        if summary.shortcut_gap is None:
            return None
        row = summary.conditions[UNPERTURBED].overall
        return Found(getattr(summary.shortcut_gap, side), row.n_real, row.n_fake)

    return find


def robustness_table(pictures: ResultSet) -> Table:
    """AUROC under every perturbation, family by family, severity by severity."""
    perturbed = perturbations(pictures)
    rows = []
    start = {UNPERTURBED: ConditionRecord(family="none")} if perturbed else {}
    for name, condition in (start | perturbed).items():
        cells = tuple(cell_of(entry, name, "auroc", of_all("auroc")) for entry in pictures.entries)
        severity = "0" if name == UNPERTURBED else "" if condition.severity is None else f"{condition.severity:g}"
        labels = (condition.family.replace("_", " "), severity, setting(name, condition), *counts(cells))
        rows.append(Row(labels, cells))
    is_foreign = any(condition.family == "other" for condition in perturbed.values())  # of whose scores?
    return Table(
        name=f"robustness-{slug(pictures.title)}",
        title="Robustness, AUROC",
        pictures=pictures.title,
        labels=("perturbation", "severity", "setting", "real", "fake"),
        columns=tuple(entry.name for entry in pictures.entries),
        rows=tuple(rows),
        runs=runs_of(pictures.entries, start | perturbed),
        notes=(
            *(() if is_foreign else ("Every picture, real and fake, is perturbed alike, before it is resized.",)),
            *remarks(pictures.entries, start | perturbed),
        ),
    )


def perturbations(pictures: ResultSet) -> dict[str, ConditionRecord]:
    """The perturbed conditions, by family in the order of the records, then by severity."""
    found = {name: c for name, c in pictures.conditions.items() if c.family not in NO_PERTURBATION}
    families = list(dict.fromkeys(c.family for c in found.values()))
    return dict(sorted(found.items(), key=lambda item: (families.index(item[1].family), item[1].severity or 0)))


def setting(name: str, condition: ConditionRecord) -> str:
    """The parameters of a condition, or its name where it has none."""
    return parameters_in_words(condition.parameters) or view_name(name)
