"""A table of figures before it has a format: each figure knows its n, its interval, or why it has none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypedDict

from tristream.evaluation.figures import Figure
from tristream.evaluation.run_folder import Run
from tristream.evaluation.summary import ConditionSummary, Summary
from tristream.evaluation.summary import Row as SummaryRow
from tristream.evaluation.text import figure_text
from tristream.metrics.comparison import mean_and_deviation
from tristream.report.runs import Entry

DASH = "—"


def one_line(text: str) -> str:
    """A text without line breaks and other control characters."""
    return re.sub(r"[\x00-\x20\x7f\u2028\u2029]+", " ", text).strip()


@dataclass(frozen=True)
class Cell:
    """One figure, and what it is of."""

    figure: Figure
    measure: str
    """As metrics.json names it."""
    detector: str = ""
    condition: str = ""
    checkpoints: tuple[str, ...] = ()
    """First digits of the checkpoints that it comes from; several for several training seeds."""
    part: str = ""
    """The generator, photo source, subset of streams ...; empty for all pictures."""
    n_real: int | None = None
    n_fake: int | None = None
    std: float | None = None
    """Standard deviation over training seeds (n - 1); the figure then holds their mean."""
    seeds: int = 1
    shows_n: bool = False
    """Whether its n stands in the cell, for a table whose cells rest on different pictures."""

    @property
    def text(self) -> str:
        """`0.912 [0.881, 0.940]`, with ` of 36` where it shows its n; over seeds `0.912 ± 0.004`; or a dash."""
        if self.figure.value is None:
            return figure_text(self.figure)
        if self.std is not None:
            return f"{self.figure.value:.3f} ± {self.std:.3f}"
        n = f" of {(self.n_real or 0) + (self.n_fake or 0)}" if self.shows_n else ""
        return figure_text(self.figure) + n


@dataclass(frozen=True)
class Row:
    """A line: texts on the left, figures on the right; None is a cell that has no meaning there."""

    labels: tuple[str, ...]
    cells: tuple[Cell | None, ...]
    notes: tuple[str, ...] = ()
    """Footnotes of the first label."""


@dataclass(frozen=True)
class Table:
    """A table and the runs that it was made from."""

    name: str
    """Unique in a report; letters, digits and hyphens."""
    title: str
    pictures: str
    """Which pictures, as the records name them."""
    labels: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    runs: tuple[Run, ...]
    notes: tuple[str, ...] = ()
    """What holds for the whole table."""
    unshown: tuple[Cell, ...] = ()
    """Figures that belong here and that only the CSV has room for."""

    @property
    def made_from(self) -> dict[str, str]:
        """The commands of the runs, and which runs each made, in words; on one line each."""
        found: dict[str, list[str]] = {}
        for run in self.runs:
            found.setdefault(one_line(run.record.command) or "command not recorded", []).append(one_line(run.described))
        return {command: "; ".join(words) for command, words in found.items()}


@dataclass(frozen=True)
class Text:
    """What stands in a cell, and the numbers of its footnotes."""

    words: str
    marks: tuple[int, ...] = ()
    is_figure: bool = False
    """Then it holds digits and signs only."""


@dataclass(frozen=True)
class LaidOut:
    """A table as texts, with numbered footnotes."""

    lines: tuple[tuple[Text, ...], ...]
    footnotes: tuple[str, ...]


@dataclass
class _Footnotes:
    texts: list[str] = field(default_factory=list)

    def mark(self, text: str | None) -> tuple[int, ...]:
        if not text:
            return ()
        if text not in self.texts:
            self.texts.append(text)
        return (self.texts.index(text) + 1,)


def lay_out(table: Table) -> LaidOut:
    """The texts of all rows; whatever is missing, or differs from the row's n, is a numbered footnote."""
    footnotes = _Footnotes()
    lines = []
    for row in table.rows:
        first, *rest = row.labels
        marks = tuple(number for note in row.notes for number in footnotes.mark(note))
        line = [Text(first, marks), *map(Text, rest)]
        usual = _usual(row.cells)
        for cell in row.cells:
            line.append(Text("") if cell is None else Text(cell.text, footnotes.mark(_remark(cell, usual)), True))
        lines.append(tuple(line))
    return LaidOut(tuple(lines), tuple(footnotes.texts))


def _remark(cell: Cell, usual: tuple[int | None, int | None] | None) -> str | None:
    words = [] if cell.figure.reason is None else [cell.figure.reason]
    if cell.std is not None:
        words.append(f"mean ± standard deviation of {cell.seeds} seeds")
    is_other = cell.n_real is not None and (cell.n_real, cell.n_fake) != usual
    if cell.figure.value is not None and is_other and not cell.shows_n:
        words.append(f"{cell.n_real} real, {cell.n_fake} fake")
    return "; ".join(words) or None


def counts(cells: Sequence[Cell | None]) -> tuple[str, str]:
    """The n real and n fake of a row: those of its first figure that has a value, or else of any that has them."""
    found = _usual(cells)
    return (DASH, DASH) if found is None else (str(found[0]), str(found[1]))


def _usual(cells: Sequence[Cell | None]) -> tuple[int, int | None] | None:
    known = [cell for cell in cells if cell is not None and cell.n_real is not None]
    first = next((cell for cell in known if cell.figure.value is not None), known[0] if known else None)
    return None if first is None or first.n_real is None else (first.n_real, first.n_fake)


class _OverSeeds(TypedDict):
    figure: Figure
    std: float | None
    seeds: int


@dataclass(frozen=True)
class Found:
    """A figure of one checkpoint and the n that it rests on."""

    figure: Figure
    n_real: int
    n_fake: int


def cell_of(
    entry: Entry, condition: str, measure: str, find: Callable[[ConditionSummary], Found | None], part: str = ""
) -> Cell:
    """A figure under one condition: of one checkpoint with its interval, or mean and deviation over several."""
    runs = entry.runs_of(condition)
    found = [find(summary) for summary in entry.summaries(condition)]
    why_none = f"no record of {entry.name} under this condition"
    return _cell(Cell(Figure(), measure, entry.name, condition, _checkpoints(runs), part), entry, found, why_none)


def summary_cell(
    entry: Entry, measure: str, find: Callable[[Summary], Found | None], why_none: str, part: str = ""
) -> Cell:
    """A figure that rests on several conditions of a run. why_none: the reason where no run has it."""
    runs = [next((run for run in of_one if find(run.summary) is not None), None) for of_one in entry.checkpoints]
    having = [run for run in runs if run is not None]
    found = [find(run.summary) for run in having]
    return _cell(Cell(Figure(), measure, entry.name, "", _checkpoints(having), part), entry, found, why_none)


def _checkpoints(runs: Iterable[Run]) -> tuple[str, ...]:
    return tuple(run.checkpoint for run in runs)


def _cell(cell: Cell, entry: Entry, given: Sequence[Found | None], why_none: str) -> Cell:
    found = [f for f in given if f is not None]
    if not found:
        reason = f"the record of {entry.name} has no such figure" if given else why_none
        return replace(cell, figure=Figure(reason=reason))
    cell = replace(cell, n_real=found[0].n_real, n_fake=found[0].n_fake)
    if len(entry.checkpoints) == 1:
        return replace(cell, figure=found[0].figure)
    return replace(cell, **over_seeds([f.figure for f in found], len(entry.checkpoints)))


def over_seeds(figures: Sequence[Figure], seeds: int) -> _OverSeeds:
    """Mean and standard deviation of the figures of several seeds; no number unless each has one."""
    values = [figure.value for figure in figures if figure.value is not None]
    if len(values) < seeds:
        reasons = {figure.reason or "undefined" for figure in figures if figure.value is None} or {"not recorded"}
        reason = f"{len(values)} of {seeds} seeds have a value: {'; '.join(sorted(reasons))}"
        return {"figure": Figure(reason=reason), "std": None, "seeds": seeds}
    mean, std = mean_and_deviation(values)
    return {"figure": Figure(value=mean), "std": std, "seeds": seeds}


def of_all(measure: str) -> Callable[[ConditionSummary], Found | None]:
    """A figure of all pictures."""
    return lambda summary: _of_row(summary.overall, measure)


def of_part(side: str, part: str, measure: str) -> Callable[[ConditionSummary], Found | None]:
    """A figure of one generator (side "generators") or photo source ("sources")."""
    return lambda summary: _of_row(getattr(summary, side).get(part), measure)


def _of_row(row: SummaryRow | None, measure: str) -> Found | None:
    figure = row.figures.get(measure) if row is not None else None
    return Found(figure, row.n_real, row.n_fake) if row is not None and figure is not None else None
