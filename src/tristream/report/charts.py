"""Charts as SVG by hand: lines with bands, bars with intervals, both readable on light and on dark pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from tristream.report.table import one_line

Point = tuple[float, float]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f")
"""Told apart by colour-blind readers, on white and on black (the first six: Okabe & Ito 2008)."""
DASHES = ("", "7 3", "2 3", "9 3 2 3")
STYLE = """
.chart { font: 12px system-ui, sans-serif } .chart text { fill: var(--ink) }
.chart .axis { fill: none; stroke: var(--ink) } .chart .grid { stroke: var(--grid) }
.chart .guide { stroke: var(--ink); stroke-dasharray: 4 4; opacity: .6; fill: none }
.chart .interval { stroke: var(--ink); stroke-width: 1.5 }
"""
"""What a page that shows charts needs; it sets --ink and --grid."""
_ON_WHITE = {"var(--ink)": "#222", "var(--grid)": "#ddd"}
WIDTH = 520
LEFT, RIGHT, TOP, HEIGHT_PX = 62, 504, 14, 270
LEGEND_PX, BAR_PX, NAME_PX = 18, 9, 170
_SHOWN_LETTERS = 58


@dataclass(frozen=True)
class Series:
    """One detector in a chart; all coordinates are in the chart's units."""

    name: str
    lines: Sequence[Sequence[Point]] = ()
    """Several for several training seeds."""
    band: Sequence[tuple[float, float, float]] = ()
    """x, lower and upper end."""
    dots: Sequence[tuple[float, float, float]] = ()
    """x, y and radius in px."""


@dataclass(frozen=True)
class Axis:
    """What an axis shows. low and high: its ends; ticks: where its numbers stand."""

    title: str
    low: float = 0.0
    high: float = 1.0
    ticks: Sequence[float] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)

    def at(self, value: float, start: float, end: float) -> float:
        """Where a value lies between two pixel positions; beyond the ends it is cut."""
        share = (value - self.low) / (self.high - self.low)
        return start + min(1.0, max(0.0, share)) * (end - start)


@dataclass(frozen=True)
class Bar:
    """A value and its interval, or no value."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Plot:
    """A drawn chart and what it shows."""

    title: str
    svg: str
    """For a page with STYLE."""

    @property
    def file(self) -> str:
        """The chart as an SVG file of its own, on white."""
        style = STYLE
        for variable, colour in _ON_WHITE.items():
            style = style.replace(variable, colour)
        opening, rest = self.svg.split("\n", 1)
        opening = opening.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"')
        return f'{opening}\n<style>{style}</style>\n<rect width="100%" height="100%" fill="white"/>\n{rest}'


def axis_upto(title: str, largest: float) -> Axis:
    """An axis from 0 to a round number above `largest`, at most 1."""
    step = next((step for step in (0.02, 0.05, 0.1) if largest <= 5 * step), 0.2)
    count = max(1, -int(-largest // step))
    return Axis(title, 0.0, step * count, tuple(step * k for k in range(count + 1)))


def line_chart(title: str, x: Axis, y: Axis, series: Sequence[Series], *, diagonal: bool = False) -> Plot:
    """Lines, bands and dots over two axes, the legend below. diagonal: also the line from corner to corner."""
    bottom = TOP + HEIGHT_PX

    def place(point: Point) -> str:
        return f"{x.at(point[0], LEFT, RIGHT):.1f} {y.at(point[1], bottom, TOP):.1f}"

    parts = [*_y_grid(y, bottom), *_x_numbers(x, bottom), f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{RIGHT}"/>']
    parts.append(_text((LEFT + RIGHT) / 2, bottom + 38, x.title, "middle"))
    parts.append(f'<g transform="translate(14 {(TOP + bottom) / 2}) rotate(-90)">{_text(0, 0, y.title, "middle")}</g>')
    if diagonal:
        parts.append(f'<path class="guide" d="M{LEFT} {bottom}L{RIGHT} {TOP}"/>')
    for number, one in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        if one.band:
            ends = [(p, high) for p, _, high in one.band] + [(p, low) for p, low, _ in reversed(one.band)]
            parts.append(f'<path d="M{_thinned(map(place, ends))}Z" fill="{colour}" fill-opacity=".15"/>')
        for line in one.lines:
            dash = DASHES[number // len(COLOURS) % len(DASHES)]
            dashed = f' stroke-dasharray="{dash}"' if dash else ""
            path = _thinned(map(place, line))
            parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>')
        for at_x, at_y, radius in one.dots:
            cx, cy = place((at_x, at_y)).split()
            parts.append(f'<circle cx="{cx}" cy="{cy}" r="{radius:.1f}" fill="{colour}" fill-opacity=".7"/>')
    return _plot(
        title, [*parts, *_legend([s.name for s in series], bottom + 54)], bottom + 54 + LEGEND_PX * len(series)
    )


def bar_chart(
    title: str,
    x: Axis,
    categories: Sequence[str],
    series: Sequence[tuple[str, Sequence[Bar]]],
    guide: float | None = None,
) -> Plot:
    """Horizontal bars with intervals, one per series in each category; the legend below. guide: a value to mark."""
    left, pitch = NAME_PX + 8, len(series) * BAR_PX + 8
    bottom = TOP + pitch * len(categories)
    parts = [
        f'<path class="grid" d="M{x.at(tick, left, RIGHT):.1f} {TOP}V{bottom}"/>'
        + _text(x.at(tick, left, RIGHT), bottom + 16, f"{tick:g}", "middle")
        for tick in x.ticks
    ]
    for row, category in enumerate(categories):
        top = TOP + row * pitch + 4
        parts.append(_text(NAME_PX, top + (pitch - 8) / 2 + 4, category, "end", letters=26))
        for number, (_, bars) in enumerate(series):
            parts += _bar(bars[row], x, left, top + number * BAR_PX, COLOURS[number % len(COLOURS)])
    if guide is not None:
        parts.append(f'<path class="guide" d="M{x.at(guide, left, RIGHT):.1f} {TOP}V{bottom}"/>')
    parts.append(f'<path class="axis" d="M{left} {TOP}V{bottom}H{RIGHT}"/>')
    parts.append(_text((left + RIGHT) / 2, bottom + 34, x.title, "middle"))
    names = [name for name, _ in series]
    return _plot(title, [*parts, *_legend(names, bottom + 50)], bottom + 50 + LEGEND_PX * len(names))


def _bar(bar: Bar, x: Axis, left: float, top: float, colour: str) -> Iterator[str]:
    if bar.value is None:
        yield _text(left + 4, top + BAR_PX - 1, "—", "start")
        return
    width = x.at(bar.value, left, RIGHT) - left
    yield f'<rect x="{left}" y="{top}" width="{width:.1f}" height="{BAR_PX - 2}" fill="{colour}" fill-opacity=".75"/>'
    if bar.low is not None and bar.high is not None:
        ends = f"M{x.at(bar.low, left, RIGHT):.1f} {top + (BAR_PX - 2) / 2}H{x.at(bar.high, left, RIGHT):.1f}"
        yield f'<path class="interval" d="{ends}"/>'


def _y_grid(axis: Axis, bottom: float) -> Iterator[str]:
    for tick in axis.ticks:
        height = axis.at(tick, bottom, TOP)
        yield f'<path class="grid" d="M{LEFT} {height:.1f}H{RIGHT}"/>' + _text(
            LEFT - 6, height + 4, f"{tick:.3g}", "end"
        )


def _x_numbers(axis: Axis, bottom: float) -> Iterator[str]:
    for tick in axis.ticks:
        yield _text(axis.at(tick, LEFT, RIGHT), bottom + 18, f"{tick:.3g}", "middle")


def _legend(names: Sequence[str], top: float) -> Iterator[str]:
    for row, name in enumerate(names):
        middle, colour = top + LEGEND_PX * row, COLOURS[row % len(COLOURS)]
        yield f'<rect x="{LEFT}" y="{middle - 5}" width="12" height="10" fill="{colour}"/>'
        yield _text(LEFT + 18, middle + 4, name, "start", letters=_SHOWN_LETTERS)


def _thinned(places: Iterable[str]) -> str:
    """The places joined to a path, without those that lie within the same tenth of a pixel as the one before."""
    kept: list[str] = []
    for place in places:
        if not kept or kept[-1] != place:
            kept.append(place)
    return "L".join(kept)


def _text(x: float, y: float, words: str, anchor: str, letters: int | None = None) -> str:
    """letters: how many are shown; the whole text is then its tooltip."""
    words = one_line(words)
    shown, tip = words, ""
    if letters is not None and len(words) > letters:
        shown, tip = words[: letters - 1] + "…", f"<title>{escape(words)}</title>"
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{tip}{escape(shown)}</text>'


def _plot(title: str, parts: Sequence[str], height: float) -> Plot:
    title = one_line(title)
    svg = (
        f'<svg class="chart" role="img" aria-label="{escape(title)}" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'width="{WIDTH}" height="{height:.0f}">\n<title>{escape(title)}</title>\n' + "\n".join(parts) + "\n</svg>\n"
    )
    return Plot(title, svg)
