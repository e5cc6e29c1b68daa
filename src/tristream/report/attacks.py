"""Attacks: what is left of a detector when somebody who knows it changes the pixels, each direction by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from tristream.attacks.checks import Check, sanity
from tristream.attacks.crafted import AFTER_JPEG, FAMILY, JPEG_QUALITY, SHUFFLED, UNROUNDED, base_names
from tristream.attacks.text import DIRECTION_WORDS, direction_of, held
from tristream.evaluation.attacked import DIRECTIONS
from tristream.evaluation.conditions import ConditionRecord
from tristream.evaluation.run_folder import Run
from tristream.evaluation.summary import ConditionSummary
from tristream.report.contents import UNPERTURBED, remarks, runs_of, setting, slug
from tristream.report.runs import Entry, ResultSet
from tristream.report.table import Cell, Found, Row, Table, cell_of, counts, of_all

COLUMNS = {
    "AUROC": ("", "auroc"),
    "robust accuracy": ("", "robust_accuracy"),
    "success": ("", "success_rate"),
    f"success after JPEG {JPEG_QUALITY}": (AFTER_JPEG, "success_rate"),
    "success of noise": (SHUFFLED, "success_rate"),
    "median L2": ("", "median_l2"),
}
"""By title: the end of the condition's name, and the figure of a direction."""
FORMS = {"": "", AFTER_JPEG: f", then JPEG quality {JPEG_QUALITY}", SHUFFLED: ", its changes shuffled: noise",
         UNROUNDED: ", before rounding"}  # fmt: skip
"""By the end of the condition's name: what is done with the crafted pixels, in words that follow the attack's."""
THREAT = (
    "Somebody who knows the weights attacks every crop of a picture by itself, on the preprocessed pixels in [0, 1], "
    "away from its label at the threshold stored with the detector."
)
CARLINI_WAGNER = (
    "Carlini-Wagner searches along the gradient in each iteration, as the library does it, in place of a step of Adam, "
    "and stops at the threshold: rounding to 8 bits undoes so small a change."
)
OF_SUCCESS = (
    "Share of the attacked pictures that the detector called right before and calls wrong after, with its 95 % "
    "interval over groups of pictures, and of how many. Pixels are rounded to 8 bits but where a row says before it."
)
NOTES = (
    f"{THREAT} One class is attacked, the other stays as it was: AUROC is of both, robust accuracy of the attacked "
    "one.",
    "Success is counted on the attacked pictures that were called right before, after rounding to 8 bits (but where a "
    f"row says before it), and again after JPEG quality {JPEG_QUALITY} of these. Noise: the same changes, shuffled. "
    "Median L2: of the perturbations that succeeded.",
    CARLINI_WAGNER,
)


def attack_table(pictures: ResultSet) -> Table:
    """Every attack on every detector in both directions, after the same pictures without an attack."""
    attacked = pictures.family(FAMILY)
    rows: list[Row] = []
    for entry in pictures.entries:
        names = [name for name in base_names(list(attacked)) if entry.runs_of(name)]
        rows += [_before(entry, side) for side in DIRECTIONS if names]
        for name in names:
            rows += [_row(entry, name, side) for side in DIRECTIONS]
            if entry.runs_of(name + UNROUNDED):
                rows += [_row(entry, name, side, UNROUNDED) for side in DIRECTIONS]
    return Table(
        name=f"attacks-{slug(pictures.title)}",
        title="Attacks on the pixels",
        pictures=pictures.title,
        labels=("detector", "attack", "direction", "real", "fake"),
        columns=tuple(COLUMNS),
        rows=tuple(rows),
        runs=runs_of(pictures.entries, attacked),
        notes=(*NOTES, *remarks(pictures.entries, attacked), *_checks(runs_of(pictures.entries, attacked))),
    )


def success_table(pictures: ResultSet) -> Table:
    """How often each attack, with its budget, succeeds in each form and direction, detector beside detector."""
    attacked = pictures.family(FAMILY)
    entries = tuple(entry for entry in pictures.entries if any(entry.runs_of(name) for name in attacked))
    rows = []
    for name in base_names(list(attacked)):
        budgets = {entry: _in_words(entry, name) for entry in entries if entry.runs_of(name)}
        for budget in dict.fromkeys(budgets.values()):
            for form, words in FORMS.items():
                if not any(entry.runs_of(name + form) for entry in entries):
                    continue
                for side in DIRECTIONS:
                    cells = tuple(
                        _success(entry, name + form, side) if budgets.get(entry, budget) == budget else None
                        for entry in entries
                    )
                    rows.append(Row((budget + words, DIRECTION_WORDS[side]), cells))
    return Table(
        name=f"attacks-success-{slug(pictures.title)}",
        title="Success of attacks on the pixels",
        pictures=pictures.title,
        labels=("attack", "direction"),
        columns=tuple(entry.name for entry in entries),
        rows=tuple(rows),
        runs=runs_of(entries, attacked),
        notes=(THREAT, OF_SUCCESS, CARLINI_WAGNER, *remarks(entries, attacked), *_checks(runs_of(entries, attacked))),
    )


def _success(entry: Entry, condition: str, side: str) -> Cell:
    find = _of_direction(side, "success_rate")
    return replace(cell_of(entry, condition, "success_rate", find, DIRECTION_WORDS[side]), shows_n=True)


def _in_words(entry: Entry, name: str) -> str:
    """An attack and its budget."""
    condition = entry.runs_of(name)[0].record.conditions.get(name, ConditionRecord())
    budget = {key: value for key, value in condition.parameters.items() if key not in ("method", "then", "pictures")}
    words = setting(name, condition.model_copy(update={"parameters": budget}))
    return f"{condition.parameters.get('method', name)}: {words}"


def _row(entry: Entry, name: str, side: str, variant: str = "") -> Row:
    """variant: UNROUNDED, which is neither compressed nor shuffled, or none."""
    cells = tuple(
        cell_of(entry, name + (end or variant), measure, _of_direction(side, measure), DIRECTION_WORDS[side])
        if not (end and variant) else None
        for end, measure in COLUMNS.values()
    )  # fmt: skip
    return Row((entry.name, _in_words(entry, name) + FORMS[variant], DIRECTION_WORDS[side], *counts(cells)), cells)


def _before(entry: Entry, side: str) -> Row:
    accuracy = "fake_accuracy_at_threshold" if DIRECTIONS[side] else "real_accuracy_at_threshold"
    measures = {"AUROC": "auroc", "robust accuracy": accuracy}
    cells: tuple[Cell | None, ...] = tuple(
        cell_of(entry, UNPERTURBED, measures[title], of_all(measures[title])) if title in measures else None
        for title in COLUMNS
    )
    return Row((entry.name, "no attack", DIRECTION_WORDS[side], *counts(cells)), cells)


def _of_direction(side: str, measure: str) -> Callable[[ConditionSummary], Found | None]:
    def find(summary: ConditionSummary) -> Found | None:
        direction = direction_of(summary, side)
        if direction is None:
            return None
        figure = direction.figures[measure]
        if measure not in ("success_rate", "median_l2"):
            return Found(figure, direction.n_real, direction.n_fake)
        rate = direction.figures["success_rate"].value or 0.0
        attacked = direction.n_right if measure == "success_rate" else round(rate * direction.n_right)
        n_fake = attacked if DIRECTIONS[side] else 0
        return Found(figure, attacked - n_fake, n_fake)

    return find


def _checks(runs: tuple[Run, ...]) -> Iterator[str]:
    """Whether the checks of these runs hold, made again from their predictions."""
    for run in runs:
        parameters: Mapping[str, Mapping[str, object]] = {n: c.parameters for n, c in run.record.conditions.items()}
        checks: list[Check] = sanity(run.pictures, run.summary.stored(UNPERTURBED), parameters)
        failed = [check.words for check in checks if check.passed is False]
        if checks:
            words = f"{run.record.checkpoint.name}: {held(checks, 'checks of the attacks')}"
            yield "; failed: ".join([words, *failed])
