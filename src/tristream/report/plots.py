"""The plots of a report, from the recorded predictions and figures of one set of pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from tristream.errors import UndefinedMetricError
from tristream.evaluation.figures import LEVEL, Stored
from tristream.evaluation.predictions import Pictures
from tristream.evaluation.run_folder import Run
from tristream.metrics import selective
from tristream.metrics import uncertainty as unc
from tristream.metrics.binary import checked_classes
from tristream.metrics.resampled import Ranking
from tristream.report.charts import Axis, Bar, Plot, Point, Series, axis_upto, bar_chart, line_chart
from tristream.report.contents import UNPERTURBED, part_names, perturbations, view_name
from tristream.report.runs import Entry, ResultSet
from tristream.report.table import Cell, Table, cell_of, of_all, of_part
from tristream.typing import Bool, Float64

T = TypeVar("T")

SHARE = Axis("AUROC")
CHANCE = 0.5
BINS = 10
"""Of the reliability diagram."""
_LEAST_COVERAGE = 0.02
"""Below it a risk-coverage curve shows a few pictures: mere noise."""


def plots(pictures: ResultSet) -> list[Plot]:
    """Every plot that the runs on these pictures have something for, in an order to read."""
    views = pictures.family("view")
    drawn = [draw(pictures, view) for draw in (roc, generators, reliability, risk_coverage) for view in views]
    families = dict.fromkeys(c.family for c in perturbations(pictures).values())
    drawn += [robustness(pictures, family) for family in families]
    return [plot for plot in drawn if plot is not None]


def roc(pictures: ResultSet, view: str) -> Plot | None:
    """ROC curve of every detector; the legend has the AUROC."""

    def curve(run: Run) -> list[Point]:
        scored = run.pictures[view].scored
        logit_N, label_N = checked_classes(scored.logit_N, scored.label_N)
        ranked = Ranking(logit_N, label_N)(np.ones((1, label_N.size)))
        real_K, fake_K = ranked.real_RK[0], ranked.fake_RK[0]
        return list(zip((real_K / real_K[-1]).tolist(), (fake_K / fake_K[-1]).tolist(), strict=True))

    def named(entry: Entry) -> str:
        return f"{entry.name}: AUROC {cell_of(entry, view, 'auroc', of_all('auroc')).text}"

    series = [Series(named(entry), lines=lines) for entry, lines in _drawn(pictures, view, curve)]
    x, y = Axis("reals called fake"), Axis("fakes called fake")
    return line_chart(_titled("ROC", pictures, view), x, y, series, diagonal=True) if series else None


def reliability(pictures: ResultSet, view: str) -> Plot | None:
    """Share of fakes over P(fake), at even odds; a dot's area goes with its share of the pictures.

    Of several training seeds the first is drawn: bins of different checkpoints have no mean.
    """
    series = []
    for entry in pictures.entries:
        for run in entry.runs_of(view)[:1]:
            name = entry.name if len(entry.checkpoints) == 1 else f"{entry.name}, checkpoint {run.checkpoint}"
            try:
                series.append(reliability_series(name, run.pictures[view].scored, bootstrap=_bootstrap(run)))
            except UndefinedMetricError:
                continue
    return reliability_chart(_titled("Reliability at even odds", pictures, view), series) if series else None


def reliability_series(
    name: str, scored: Pictures, kept_N: Bool | None = None, *, bootstrap: Bootstrap | None = None
) -> Series:
    """Per bin the mean P(fake), the share of fakes at even odds and its interval; a dot's area is the pictures' share.

    kept_N: the pictures that take part, all by default. Raises UndefinedMetricError without a probability or a class.
    """

    def binned(counts_RN: Float64) -> selective.Reliability:
        return selective.reliability(counts_RN, scored.probability(), scored.label_N, kept_N, bins=BINS)

    found = binned(np.ones((1, len(scored))))
    columns = zip(found.probability_RB[0], found.fake_RB[0], found.mass_RB[0], strict=True)
    dots = [(float(p), float(share), 2 + 14 * float(mass) ** 0.5) for p, share, mass in columns if mass > 0]
    ends_2B = None if bootstrap is None else bootstrap.interval(lambda counts_RN: binned(counts_RN).fake_RB, scored)
    band = [] if ends_2B is None else _band(found.probability_RB[0], ends_2B)
    return Series(name, lines=[[(x, y) for x, y, _ in dots]], dots=dots, band=band)


def reliability_chart(title: str, series: Sequence[Series]) -> Plot:
    """Such series over their axes."""
    return line_chart(title, Axis("P(fake)"), Axis("share of fakes"), series, diagonal=True)


def risk_coverage(pictures: ResultSet, view: str) -> Plot | None:
    """Error among the most confident pictures over the share that they are; the band is the first checkpoint's."""

    def series_of(run: Run) -> Series:
        summary = run.summary
        stored = Stored(summary.balanced_accuracy_threshold, summary.verdict_thresholds, summary.distance_limit)
        return risk_series("", run.pictures[view].scored, stored, bootstrap=_bootstrap(run))

    series = [
        Series(entry.name, lines=[line for one in drawn for line in one.lines], band=drawn[0].band)
        for entry, drawn in _drawn(pictures, view, series_of)
    ]
    return risk_chart(_titled("Risk and coverage", pictures, view), series) if series else None


def risk_series(
    name: str,
    scored: Pictures,
    stored: Stored,
    dots: Sequence[tuple[float, float, float]] = (),
    *,
    bootstrap: Bootstrap | None = None,
) -> Series:
    """Coverage and the error among the answers, the least confident and the far pictures given up first."""
    confidence_N = selective.confidence(scored.logit_N, stored.balanced(), stored.far(scored))
    curve = selective.RiskCoverage(scored.logit_N, scored.label_N, stored.balanced(), confidence_N)
    grid_K = np.linspace(_LEAST_COVERAGE, 1, 197)

    def errors(counts_RN: Float64) -> Float64:
        steps = zip(*curve(counts_RN), strict=True)
        return np.stack([e[np.minimum(np.searchsorted(c, grid_K - 1e-9), e.size - 1)] for c, e in steps])

    coverage_K, error_K = curve.curve()
    shown = np.unique(np.searchsorted(coverage_K, grid_K - 1e-9))
    ends_2K = None if bootstrap is None else bootstrap.interval(errors, scored)
    return Series(
        name,
        lines=[[(float(coverage_K[k]), float(error_K[k])) for k in shown]],
        dots=dots,
        band=[] if ends_2K is None else _band(grid_K, ends_2K),
    )


def risk_chart(title: str, series: Sequence[Series]) -> Plot:
    """Such series over their axes."""
    points = [point for one in series for line in (*one.lines, one.dots) for point in line]
    largest = max([*(point[1] for point in points), *(high for one in series for _, _, high in one.band)])
    x, y = Axis("share of pictures that are answered"), axis_upto("error among the answers", largest)
    return line_chart(title, x, y, series)


@dataclass(frozen=True)
class Bootstrap:
    """How the band of a curve is resampled: as the figures of its run."""

    resamples: int
    seed: int

    def interval(self, curve: Callable[[Float64], Float64], scored: Pictures) -> Float64 | None:
        """f64[2, K], the ends of each of the K values of a curve, counts_RN -> f64[R, K]; None for too few pictures."""
        if unc.too_few(scored.label_N, scored.group_N):
            return None
        value_RK = unc.bootstrap_values(curve, scored.label_N, scored.group_N, resamples=self.resamples, seed=self.seed)
        is_rare_K = np.isnan(value_RK).mean(axis=0) > 0.05  # such as a bin that many resamples leave empty
        ends_2K = np.nanquantile(np.where(is_rare_K, 0.0, value_RK), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        return np.asarray(np.where(is_rare_K, np.nan, ends_2K))


def _bootstrap(run: Run) -> Bootstrap:
    return Bootstrap(run.summary.resamples, run.summary.seed)


def _band(x_K: Float64, ends_2K: Float64) -> list[tuple[float, float, float]]:
    """Without the places that have no interval."""
    return [(float(x), float(low), float(high)) for x, low, high in zip(x_K, *ends_2K, strict=True) if low == low]


def _titled(words: str, pictures: ResultSet, view: str) -> str:
    """With the view and the numbers of pictures that were scored; of several detectors those that occur."""
    rows = {(s.overall.n_real, s.overall.n_fake) for entry in pictures.entries for s in entry.summaries(view)}
    return f"{words}, {view_name(view)}: {' or '.join(f'{real} real, {fake} fake' for real, fake in sorted(rows))}"


def _drawn(pictures: ResultSet, view: str, draw: Callable[[Run], T]) -> Iterator[tuple[Entry, list[T]]]:
    """What is drawn of each checkpoint of a detector; without those for which it is undefined."""
    for entry in pictures.entries:
        try:
            found = [draw(run) for run in entry.runs_of(view)]
        except UndefinedMetricError:
            continue
        if found:
            yield entry, found


def generators(pictures: ResultSet, view: str) -> Plot | None:
    """AUROC of each generator's fakes against all reals."""
    parts = part_names(pictures, view, "generators")
    series = [
        (e.name, [_bar(cell_of(e, view, "auroc", of_part("generators", part, "auroc"), part)) for part in parts])
        for e in pictures.entries
    ]
    counts = {part: _fakes_of(pictures, view, part) for part in parts}
    names = [f"{part} ({count})" for part, count in counts.items()]
    title = _titled("AUROC per generator (n) against all reals", pictures, view)
    return bar_chart(title, SHARE, names, series, guide=CHANCE) if parts else None


def _fakes_of(pictures: ResultSet, view: str, part: str) -> int:
    return max(s.generators[part].n_fake for e in pictures.entries for s in e.summaries(view) if part in s.generators)


def robustness(pictures: ResultSet, family: str) -> Plot | None:
    """AUROC over the severity of one family of perturbations; severity 0 is the pictures as delivered."""
    found = {name: c.severity for name, c in perturbations(pictures).items() if c.family == family}
    severities = {UNPERTURBED: 0.0} | {name: s for name, s in found.items() if s is not None}
    series = []
    for entry in pictures.entries:
        cells = [(s, cell_of(entry, name, "auroc", of_all("auroc"))) for name, s in severities.items()]
        line = [(s, cell.figure.value) for s, cell in cells if cell.figure.value is not None]
        band = [(s, *ends) for s, cell in cells if (ends := _ends(cell)) is not None]
        if len(line) > 1:
            series.append(Series(entry.name, lines=[line], band=band, dots=[(x, y, 3.0) for x, y in line]))
    if not series:
        return None
    x = Axis("severity", 0.0, max(severities.values()), sorted(set(severities.values())))
    return line_chart(_titled(f"Robustness to {family.replace('_', ' ')}", pictures, UNPERTURBED), x, SHARE, series)


def ablation_bars(table: Table, series_of: Callable[[Cell], str]) -> Plot | None:
    """The AUROC of each row of an ablation table as bars. series_of: which series a figure belongs to."""
    named: dict[str, dict[str, Bar]] = {}
    for row in table.rows:
        for cell in row.cells:
            if cell is not None and cell.measure == "auroc":
                named.setdefault(series_of(cell), {})[row.labels[0]] = _bar(cell)
    categories = list(dict.fromkeys(row.labels[0] for row in table.rows))
    series = [(name, [bars.get(part, Bar(None)) for part in categories]) for name, bars in named.items()]
    cells = [cell for row in table.rows for cell in row.cells if cell is not None and cell.n_real is not None]
    counts = sorted({(cell.n_real, cell.n_fake) for cell in cells})
    words = " or ".join(f"{real} real, {fake} fake" for real, fake in counts)
    return bar_chart(f"{table.title}: {words}", SHARE, categories, series, guide=CHANCE) if series else None


def _ends(cell: Cell) -> tuple[float, float] | None:
    """The interval, or one standard deviation over seeds to each side."""
    figure = cell.figure
    if figure.value is not None and cell.std is not None:
        return figure.value - cell.std, figure.value + cell.std
    return None if figure.low is None or figure.high is None else (figure.low, figure.high)


def _bar(cell: Cell) -> Bar:
    return Bar(cell.figure.value, *(_ends(cell) or (None, None)))
