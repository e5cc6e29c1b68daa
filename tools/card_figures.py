"""The model card's figures as SVG, drawn from recorded predictions: the same records give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tristream.evaluation.figures import Pictures, Stored
from tristream.metrics import selective

COLOURS = ("#0072b2", "#d55e00")  # told apart by colour-blind readers (Okabe & Ito 2008)
WIDTH, HEIGHT = 460, 340
LEFT, RIGHT, TOP, BOTTOM = 56, 444, 16, 290
BINS = 10


@dataclass(frozen=True)
class Marks:
    """What one condition looks like in a chart; x in [0, 1], y in the chart's range."""

    name: str
    line: Sequence[tuple[float, float]] = ()
    rings: Sequence[tuple[float, float, float]] = ()
    """x, y and radius in px."""
    dots: Sequence[tuple[float, float, float]] = ()
    """x, y and radius in px."""


def risk_coverage(conditions: Mapping[str, Pictures], stored: Stored) -> str:
    """Error among the answers over the share that is answered; a dot where the verdicts abstain by default."""
    marks = []
    for name, pictures in conditions.items():
        scored = pictures.scored
        far_N = stored.far(scored)
        confidence_N = selective.confidence(scored.logit_N, stored.balanced(), far_N)
        curve = selective.RiskCoverage(scored.logit_N, scored.label_N, stored.balanced(), confidence_N)
        coverage_K, error_K = curve.curve()
        shown = np.unique(np.searchsorted(coverage_K, np.linspace(0.02, 1, 197) - 1e-9))  # few pictures: mere noise
        once = np.ones((1, len(scored)))
        rates = selective.answer_rates(once, scored.logit_N, scored.label_N, *stored.fake_and_real(), far_N)
        dots = [(float(rates.coverage[0]), float(rates.selective_error[0]), 5.0)] if rates.coverage[0] else []
        line = [(float(coverage_K[k]), float(error_K[k])) for k in shown]
        marks.append(Marks(f"{name} (dot: the verdicts)", line=line, dots=dots))
    top = max(y for mark in marks for _, y, *_ in [*mark.line, *mark.dots])
    return _chart(marks, "coverage: share of pictures that are answered", "error among the answers", top)


def reliability(conditions: Mapping[str, Pictures], stored: Stored) -> str:
    """Share of fakes over P(fake), at even odds: rings of all pictures, dots of those that are answered."""
    marks = []
    for name, pictures in conditions.items():
        scored = pictures.scored
        called_N = selective.answers(scored.logit_N, *stored.fake_and_real(), stored.far(scored))
        rings, dots = (
            _bins(
                selective.reliability(
                    np.ones((1, len(scored))), scored.probability_N, scored.label_N, kept_N, bins=BINS
                )
            )
            for kept_N in (None, called_N >= 0)
        )
        marks.append(Marks(f"{name} (dots: answered)", rings=rings, dots=dots))
    return _chart(marks, "P(fake)", "share of fakes", 1.0, diagonal=True)


def _bins(found: selective.Reliability) -> list[tuple[float, float, float]]:
    """Mean P(fake), share of fakes and a radius whose square goes with the share of pictures."""
    columns = zip(found.probability_RB[0], found.fake_RB[0], found.mass_RB[0], strict=True)
    return [(float(p), float(fake), 2 + 14 * float(mass) ** 0.5) for p, fake, mass in columns if mass > 0]


def _chart(marks: Sequence[Marks], x_label: str, y_label: str, top: float, diagonal: bool = False) -> str:
    """One chart on white. top: the highest y shown."""
    step = next(step for step in (0.02, 0.05, 0.1, 0.2) if top <= 5.5 * step or step == 0.2)
    top = step * np.ceil(top / step - 1e-9)

    def at(x: float, y: float) -> tuple[str, str]:
        return f"{LEFT + x * (RIGHT - LEFT):.1f}", f"{BOTTOM - y / top * (BOTTOM - TOP):.1f}"

    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for tick in np.arange(0, top + step / 2, step):
        y = at(0, tick)[1]
        parts += [f'<path d="M{LEFT} {y}H{RIGHT}" stroke="#ddd"/>', _text(LEFT - 6, float(y) + 4, f"{tick:.2g}", "end")]
    for tick in np.arange(0, 1.1, 0.2):
        parts.append(_text(float(at(tick, 0)[0]), BOTTOM + 18, f"{tick:.2g}", "middle"))
    parts.append(f'<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" stroke="#444" fill="none"/>')
    if diagonal:
        parts.append(f'<path d="M{LEFT} {BOTTOM}L{RIGHT} {TOP}" stroke="#888" stroke-dasharray="4 4"/>')
    parts.append(_text((LEFT + RIGHT) / 2, BOTTOM + 40, x_label, "middle"))
    parts.append(f'<g transform="translate(16 {(TOP + BOTTOM) / 2}) rotate(-90)">{_text(0, 0, y_label, "middle")}</g>')
    for row, (mark, colour) in enumerate(zip(marks, COLOURS, strict=False)):
        path = "L".join(" ".join(at(x, y)) for x, y in mark.line)
        parts.append(f'<path d="M{path}" stroke="{colour}" stroke-width="2" fill="none"/>' if path else "")
        for points, fill in ((mark.rings, "none"), (mark.dots, colour)):
            for x, y, radius in points:
                cx, cy = at(x, y)
                parts.append(f'<circle cx="{cx}" cy="{cy}" r="{radius:.1f}" fill="{fill}" stroke="{colour}"/>')
        middle = BOTTOM - 36 + 18 * row  # of the legend, at the bottom right
        parts.append(f'<rect x="{RIGHT - 216}" y="{middle - 5}" width="10" height="10" fill="{colour}"/>')
        parts.append(_text(RIGHT - 200, middle + 4, mark.name, "start"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">\n' + "\n".join(part for part in parts if part) + "\n</svg>\n"
    )


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'
