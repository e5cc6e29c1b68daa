"""Detectors on the same pictures: paired differences in every condition, from tables of predictions or run folders."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tristream.config import StrictModel
from tristream.errors import UsageError
from tristream.evaluation.figures import LEVEL, Figure, Stored
from tristream.evaluation.paired import PairedFigure, paired_figure, same_pictures
from tristream.evaluation.predictions import read_conditions
from tristream.evaluation.run_folder import Run, read_run
from tristream.metrics.comparison import holm

log = logging.getLogger(__name__)

MEASURES = ("auroc", "balanced_accuracy_at_half", "balanced_accuracy_at_threshold", "tpr_at_5_percent_fpr")
"""What two runs are compared by."""
MOST_RESAMPLES = 20_000


class ComparedCondition(StrictModel):
    """Detectors A and B on the pictures that both have scored."""

    n_real: int
    n_fake: int
    n_failed: int
    """Pictures that A, B or both could not score."""
    figures: dict[str, PairedFigure]

    @property
    def difference(self) -> Figure:
        """AUROC of A minus that of B."""
        return self.figures["auroc"].difference

    @property
    def p_value(self) -> float | None:
        """Of that difference, from the paired bootstrap."""
        return self.figures["auroc"].p_value


class Comparison(StrictModel):
    """Two detectors on the same pictures, condition by condition."""

    level: float
    resamples: int
    seed: int
    conditions: dict[str, ComparedCondition]


def compare(
    predictions_a: pd.DataFrame,
    predictions_b: pd.DataFrame,
    *,
    measures: Sequence[str] = ("auroc",),
    stored: tuple[Stored, Stored] = (Stored(), Stored()),
    seed: int = 0,
    resamples: int = 1000,
) -> Comparison:
    """Measures of two detectors on the same pictures, and the paired differences A - B, in every condition.

    Pictures are joined by id within a condition, copies one by one; labels and groups are read from A. stored:
    thresholds of A and of B. Raises UsageError where conditions, ids, their copies or labels differ.
    """
    a, b = read_conditions(predictions_a), read_conditions(predictions_b)
    if set(a) != set(b):
        raise UsageError(f"only one of the two tables has the conditions {', '.join(sorted(set(a) ^ set(b)))}")
    conditions = {}
    for name in a:
        same, n_failed = same_pictures(f"condition {name}", {"a": a[name], "b": b[name]})
        conditions[name] = ComparedCondition(
            n_real=int((same["a"].label_N == 0).sum()),
            n_fake=int((same["a"].label_N == 1).sum()),
            n_failed=n_failed,
            figures={
                measure: paired_figure(measure, same["a"], same["b"], stored, resamples=resamples, seed=seed)
                for measure in measures
            },
        )
    return Comparison(level=LEVEL, resamples=resamples, seed=seed, conditions=conditions)


class Difference(StrictModel):
    """One measure of two runs under one condition."""

    run_a: str
    run_b: str
    condition: str
    measure: str
    n_real: int
    n_fake: int
    n_failed: int
    figure: PairedFigure
    p_value_holm: float | None = None
    """The p-value of the bootstrap, corrected for all those of the list."""


class RunComparison(StrictModel):
    """The first of several runs against each of the others."""

    level: float
    resamples: int
    seed: int
    tests: int
    """How many p-values Holm's correction is for."""
    least_p_value_holm: float | None
    """The smallest that so many resamples can give once it is corrected; None without a test."""
    differences: list[Difference]


def resamples_for(tests: int, least: int = 1000) -> int:
    """How many give p-values that can stay below 0.05 / 2 when Holm's procedure corrects so many; MOST_RESAMPLES at
    most, `least` at least."""
    return max(least, min(80 * tests, MOST_RESAMPLES))


def least_p_value(tests: int, resamples: int) -> float:
    """The smallest that so many resamples can give once it is corrected for so many tests."""
    return min(1.0, 2 * tests / (resamples + 1))


def compare_runs(runs: Sequence[Path], *, seed: int = 0, resamples: int | None = None) -> RunComparison:
    """The first run minus each other one, by MEASURES, in every condition that both have.

    resamples: None for what `resamples_for` says. Raises UsageError for fewer than two runs, an unfinished one, other
    pictures, and runs without a common condition.
    """
    if len(runs) < 2:
        raise UsageError("a comparison needs two run folders or more")
    first, *others = (read_run(run) for run in runs)
    tests = len(MEASURES) * sum(len(_common(first, other)) for other in others)
    resamples = resamples or resamples_for(tests)
    differences = [d for other in others for d in _differences(first, other, seed, resamples)]
    tested = [d for d in differences if d.figure.p_value is not None]
    corrected = iter(holm([d.figure.p_value for d in tested if d.figure.p_value is not None]))
    return RunComparison(
        level=LEVEL,
        resamples=resamples,
        seed=seed,
        tests=len(tested),
        least_p_value_holm=least_p_value(len(tested), resamples) if tested else None,
        differences=[
            d if d.figure.p_value is None else d.model_copy(update={"p_value_holm": next(corrected)})
            for d in differences
        ],
    )


def _common(a: Run, b: Run) -> list[str]:
    """The conditions of both that were made the same way."""
    common = [name for name in a.summary.conditions if name in b.summary.conditions]
    other = [name for name in common if not made_alike(a, b, name)]
    for name in other:
        log.warning("%s and %s: '%s' was not made the same way, and is not compared", _named(a), _named(b), name)
    return [name for name in common if name not in other]


def made_alike(a: Run, b: Run, condition: str) -> bool:
    """Whether two runs mean the same by the name of a condition, by their records."""
    told = [run.record.conditions[condition].description for run in (a, b) if condition in run.record.conditions]
    return len(set(told)) < 2


def _under(run: Run, condition: str) -> pd.DataFrame:
    return run.predictions[run.predictions["condition"] == condition]


def _named(run: Run) -> str:
    return f"{run.record.checkpoint.name} ({run.folder})"


def _differences(a: Run, b: Run, seed: int, resamples: int) -> list[Difference]:
    common = _common(a, b)
    if not common:
        raise UsageError(f"{_named(a)} and {_named(b)} have no condition in common")
    found = {
        name: compare(
            _under(a, name), _under(b, name), measures=MEASURES, seed=seed, resamples=resamples,
            stored=(a.summary.stored(name), b.summary.stored(name)),
        ).conditions[name]
        for name in common
    }  # fmt: skip
    return [
        Difference(run_a=_named(a), run_b=_named(b), condition=name, measure=measure, n_real=part.n_real,
                   n_fake=part.n_fake, n_failed=part.n_failed, figure=figure)
        for name, part in found.items()
        for measure, figure in part.figures.items()
    ]  # fmt: skip
