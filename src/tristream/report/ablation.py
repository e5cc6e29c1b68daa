"""Ablation of streams, in two tables that are not to be mixed: masked at inference, and retrained without them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tristream.evaluation.paired import stream_shares
from tristream.evaluation.summary import Summary
from tristream.evaluation.text import labelled
from tristream.metrics.shapley import CHANCE_AUROC
from tristream.report.contents import UNPERTURBED, remarks, runs_of, slug, view_name
from tristream.report.runs import Entry, ResultSet
from tristream.report.table import Cell, Found, Row, Table, cell_of, counts, of_all, summary_cell

_RECALIBRATED = "Thresholds were re-calibrated for each subset."

_SHAPLEY = f"Exact; no stream at all is chance, {CHANCE_AUROC:g}, and the values add up to the AUROC above it."

MEASURES = labelled("auroc", "balanced_accuracy_at_threshold")


def masked_table(pictures: ResultSet) -> Table:
    """The same weights with streams masked: what each subset of the streams still tells."""
    masked = {name: c.streams for name, c in pictures.family("masked").items() if c.streams}
    entries = [entry for entry in pictures.entries if any(entry.runs_of(name) for name in masked)]
    every = tuple(dict.fromkeys(stream for streams in masked.values() for stream in streams))
    if masked and not any(set(streams) == set(every) for streams in masked.values()):
        masked[UNPERTURBED] = every
    shown = [(entry, measure) for entry in entries for measure in MEASURES]
    rows = []
    for name, streams in sorted(masked.items(), key=lambda item: -len(item[1])):
        cells = tuple(cell_of(e, name, m, of_all(m), " + ".join(streams)) for e, m in shown)
        rows.append(Row((" + ".join(streams), *counts(cells)), cells))
    return Table(
        name=f"ablation-masked-{slug(pictures.title)}",
        title="Ablation by masking: streams of the trained detector left out at inference",
        pictures=pictures.title,
        labels=("streams that are left", "real", "fake"),
        columns=tuple(MEASURES[m] + (f", {e.name}" if len(entries) > 1 else "") for e, m in shown),
        rows=tuple(rows),
        runs=runs_of(entries, masked),
        notes=(
            "The weights are the same in every row. For detectors trained without a stream see the other table.",
            *((_RECALIBRATED,) if any(_is_recalibrated(e, name) for e in entries for name in masked) else ()),
            *remarks(entries, masked),
        ),
    )


def _is_recalibrated(entry: Entry, condition: str) -> bool:
    return any(summary.is_recalibrated for summary in entry.summaries(condition))


def shares_table(pictures: ResultSet) -> Table:
    """The Shapley value of each stream, from all subsets masked at inference."""
    having = [run for run in pictures.runs if run.summary.stream_shares]
    entries = [entry for entry in pictures.entries if any(run in having for run in entry.runs)]
    streams = dict.fromkeys(name for run in having for name in run.summary.stream_shares or ())
    rows = []
    for stream in streams:
        cells = tuple(
            summary_cell(entry, "shapley_auroc", _share(stream), f"{entry.name} has no such stream", stream)
            for entry in entries
        )
        rows.append(Row((stream, *counts(cells)), cells))
    return Table(
        name=f"shapley-masked-{slug(pictures.title)}",
        title="What each stream brings, by masking: Shapley values in AUROC",
        pictures=pictures.title,
        labels=("stream", "real", "fake"),
        columns=tuple(entry.name for entry in entries),
        rows=tuple(rows),
        runs=tuple(having),
        notes=(
            "From all subsets of the streams masked at inference.",
            _SHAPLEY,
        ),
    )


def _share(stream: str) -> Callable[[Summary], Found | None]:
    def find(summary: Summary) -> Found | None:
        figure = (summary.stream_shares or {}).get(stream)
        row = next(iter(summary.conditions.values())).overall
        return None if figure is None else Found(figure, row.n_real, row.n_fake)

    return find


def retrained_table(pictures: ResultSet) -> Table:
    """Detectors that one config trained with a subset of the streams each, with weights of their own."""
    views = pictures.family("view")
    found = retrained(pictures)
    rows = []
    for of_one_config in found.values():
        for streams, entry in sorted(of_one_config.items(), key=lambda item: -len(item[0])):
            for view in views:
                part = " + ".join(streams)
                cells = tuple(cell_of(entry, view, measure, of_all(measure), part) for measure in MEASURES)
                rows.append(Row((part, entry.name, view_name(view), *counts(cells)), cells))
    return Table(
        name=f"ablation-retrained-{slug(pictures.title)}",
        title="Ablation by retraining: detectors trained with these streams only",
        pictures=pictures.title,
        labels=("streams", "detector", "view", "real", "fake"),
        columns=tuple(MEASURES.values()),
        rows=tuple(rows),
        runs=runs_of([entry for entries in found.values() for entry in entries.values()], views),
        notes=(
            "Each row is a training of its own; what its config freezes is not trained.",
            "For one detector with streams masked see the other table.",
            *remarks([entry for entries in found.values() for entry in entries.values()], views),
        ),
    )


def retrained(pictures: ResultSet) -> dict[str, dict[tuple[str, ...], Entry]]:
    """By the name of their config, the entries of `ablate --retrain`: two subsets of its streams or more.

    They are told by their names, NAME-<streams joined by +>, and by the streams that their records list.
    """
    found: dict[str, dict[tuple[str, ...], Entry]] = {}
    for entry in pictures.entries:
        streams = entry.detector.streams or ()
        name, separator, left = entry.runs[0].record.checkpoint.name.rpartition("-")
        if separator and left == "+".join(streams):
            found.setdefault(name, {})[streams] = entry
    return {name: entries for name, entries in found.items() if len(entries) > 1}


def retrained_shares_table(pictures: ResultSet) -> Table:
    """The Shapley value of each stream, from all subsets trained anew with one config and one seed."""
    rows, used = [], []
    for name, entries in retrained(pictures).items():
        streams = tuple(dict.fromkeys(stream for left in entries for stream in left))
        for view in pictures.family("view"):
            runs = {left: entry.runs_of(view) for left, entry in entries.items() if len(entry.checkpoints) == 1}
            if len(runs) < 2 ** len(streams) - 1 or not all(runs.values()):
                continue
            first, *_ = whole = [of_one[0] for of_one in runs.values()]
            tables = {frozenset(left): of_one[0].pictures[view] for left, of_one in runs.items()}
            shares = stream_shares(tables, resamples=first.summary.resamples, seed=first.summary.seed)
            row = first.summary.conditions[view].overall
            used += whole
            for stream in streams:
                checkpoints = tuple(run.checkpoint for run in whole)
                cell = Cell(shares[stream], "shapley_auroc_retrained", name, view, checkpoints, stream)
                cells = (replace(cell, n_real=row.n_real, n_fake=row.n_fake),)
                rows.append(Row((stream, name, view_name(view), *counts(cells)), cells))
    return Table(
        name=f"shapley-retrained-{slug(pictures.title)}",
        title="What each stream brings, by retraining: Shapley values in AUROC",
        pictures=pictures.title,
        labels=("stream", "config", "view", "real", "fake"),
        columns=("share of the AUROC",),
        rows=tuple(rows),
        runs=tuple(dict.fromkeys(used)),
        notes=(
            "From all subsets of the streams, each a training of its own. The intervals are over pictures.",
            _SHAPLEY,
        ),
    )
