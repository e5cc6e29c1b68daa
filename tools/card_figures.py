"""The model card's figures, drawn from recorded predictions: the same records give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tristream.evaluation.figures import Stored
from tristream.evaluation.predictions import Pictures
from tristream.metrics import selective
from tristream.metrics.answers import answers
from tristream.report.plots import Bootstrap, reliability_chart, reliability_series, risk_chart, risk_series


def risk_coverage(conditions: Mapping[str, Pictures], stored: Stored, bootstrap: Bootstrap) -> str:
    """SVG: error among the answers over the share that is answered; a dot where the verdicts abstain by default."""
    series = []
    for name, pictures in conditions.items():
        scored = pictures.scored
        once, far_N = np.ones((1, len(scored))), stored.far(scored)
        rates = selective.answer_rates(once, scored.logit_N, scored.label_N, *stored.fake_and_real(), far_N)
        dots = [(float(rates.coverage[0]), float(rates.selective_error[0]), 5.0)] if rates.coverage[0] else []
        series.append(risk_series(f"{name} (dot: the verdicts)", scored, stored, dots, bootstrap=bootstrap))
    return risk_chart("Risk and coverage", series).file


def reliability(conditions: Mapping[str, Pictures], stored: Stored, bootstrap: Bootstrap) -> str:
    """SVG: share of fakes over P(fake), at even odds, of all pictures and of those that are answered."""
    series = []
    for name, pictures in conditions.items():
        scored = pictures.scored
        called_N = answers(scored.logit_N, *stored.fake_and_real(), stored.far(scored))
        for words, kept_N in ((name, None), (f"{name}, answered", called_N >= 0)):
            series.append(reliability_series(words, scored, kept_N, bootstrap=bootstrap if kept_N is None else None))
    return reliability_chart("Reliability at even odds", series).file
