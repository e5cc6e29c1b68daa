"""Attacks: what is left of a detector when somebody who knows it changes the pixels."""

from __future__ import annotations

from tristream.report.contents import UNPERTURBED, runs_of, setting, slug
from tristream.report.runs import PictureSet, RecordedCondition
from tristream.report.table import Row, Table, cell_of, counts, of_all

MEASURES = {
    "auroc": "AUROC",
    "balanced_accuracy_at_threshold": "robust balanced accuracy",
    "fake_accuracy_at_threshold": "fakes still called fake",
    "real_accuracy_at_threshold": "reals still called real",
}


def attack_table(pictures: PictureSet) -> Table:
    """Every attack on every detector, after the same pictures without an attack."""
    attacked = pictures.family("attack")
    rows = []
    for entry in pictures.entries:
        conditions = {name: c for name, c in attacked.items() if entry.runs_of(name)}
        start = {UNPERTURBED: RecordedCondition(description="no attack")} if conditions else {}
        for name, condition in (start | conditions).items():
            cells = tuple(cell_of(entry, name, measure, of_all(measure)) for measure in MEASURES)
            what = condition.description if name == UNPERTURBED else setting(name, condition)
            rows.append(Row((entry.name, what, *counts(cells)), cells))
    return Table(
        name=f"attacks-{slug(pictures.title)}",
        title="Attacks on the pixels",
        pictures=pictures.title,
        labels=("detector", "attack", "real", "fake"),
        columns=tuple(MEASURES.values()),
        rows=tuple(rows),
        runs=runs_of(pictures.entries, attacked),
        notes=("At the threshold stored with the detector. Scores are those after rounding to 8 bits.",),
    )
