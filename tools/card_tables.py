"""The model card's tables of scores: each a function that returns Markdown, from recorded predictions and metrics."""

from __future__ import annotations

import numpy as np
import pandas as pd
from card_records import CONDITIONS, DETECTORS, SETS, conditions, is_recorded, predictions, stored, summary
from flip_rates import share

from tristream.evaluation.comparison import compare
from tristream.evaluation.figures import Figure, compute_figures
from tristream.evaluation.predictions import Pictures
from tristream.evaluation.summary import matched_auroc
from tristream.evaluation.text import figure_text
from tristream.metrics.answers import answers
from tristream.metrics.comparison import holm
from tristream.runtime.verdict import Domain, Verdict, decide
from tristream.typing import Bool

MATCHED: dict[str, dict[str, list[str]]] = {
    "DFDC: swapped faces / originals": {"fake_sources": ["dfdc-swap"], "real_sources": ["dfdc"]},
    "FaceForensics++ c23: manipulated / originals": {
        "fake_sources": ["ffpp-c23"],
        "real_sources": ["ffpp-c23-originals"],
    },
    "politicians: FLUX / press photographs": {
        "fake_sources": ["flux-politicians"],
        "real_sources": ["press-politicians"],
    },
    "faces: StyleGAN / FFHQ": {"fake_sources": ["stylegan"], "real_sources": ["ffhq"]},
}
MANIPULATED = {"dfdc-swap", "ffpp-deepfakes", "ffpp-face2face", "ffpp-faceswap"} | {
    "openforensics-swap", "hyperlips", "first-order-motion",
}  # fmt: skip
"""Generators that change or animate a face in a real picture; all others make the whole picture."""
KINDS = {
    "real": lambda pictures: pictures.label_N == 0,
    "fake: a face swapped or animated": lambda pictures: _is_manipulated(pictures),
    "fake: wholly generated": lambda pictures: (pictures.label_N == 1) & ~_is_manipulated(pictures),
}
FIGURES = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "balanced_accuracy_at_threshold": "balanced accuracy, stored threshold",
    "accuracy_at_threshold": "accuracy, stored threshold",
    "f1_at_threshold": "F1, stored threshold",
    "balanced_accuracy_at_half": "balanced accuracy, P = 0.5",
    "equal_error_rate": "EER",
    "expected_calibration_error": "ECE (even odds)",
    "brier": "Brier score (even odds)",
    "tpr_at_1_percent_fpr": "TPR at 1 % FPR",
    "tpr_at_5_percent_fpr": "TPR at 5 % FPR",
}
ABSTENTION = {
    "selective_error": "error after",
    "real_coverage": "reals answered",
    "fake_coverage": "fakes answered",
    "false_alarm_rate": "false alarms, of all reals",
    "miss_rate": "misses, of all fakes",
    "expected_calibration_error": "ECE before",
    "selective_calibration_error": "ECE after",
    "area_under_risk_coverage": "AURC",
}


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, ["---"] * len(header), *rows])


def results() -> str:
    """AUROC of every detector on every set under both conditions."""
    rows = []
    for pictures, words in SETS.items():
        for detector, name in DETECTORS.items():
            if not is_recorded(detector, pictures):
                rows.append([words, name, *["—"] * (len(CONDITIONS) + 1)])
                continue
            conditions = summary(detector, pictures).conditions
            counts = conditions["alike"].overall
            cells = [figure_text(conditions[c].overall.figures["auroc"]) for c in CONDITIONS]
            mean = figure_text(conditions["alike"].mean_generator_auroc)
            rows.append([f"{words} ({counts.n_real} real, {counts.n_fake} fake)", name, *cells, mean])
    return table(["pictures", "detector", *CONDITIONS.values(), "alike, mean over generators"], rows)


def comparisons() -> str:
    """Paired differences between the shipped detector and the others."""
    rows: list[list[str]] = []
    p_values: dict[int, float] = {}
    for pictures, words in SETS.items():
        for other in list(DETECTORS)[1:]:
            if not is_recorded(other, pictures):
                rows.append([words, f"tristream − {DETECTORS[other]}", "—", "—"])
                continue
            ours, theirs = (predictions(detector, pictures) for detector in ("shipped", other))
            result = compare(*(scored[scored["condition"].isin(CONDITIONS)] for scored in (ours, theirs)))
            for condition, name in CONDITIONS.items():
                part = result.conditions[condition]
                if part.p_value is not None:
                    p_values[len(rows)] = part.p_value
                rows.append([words, f"tristream − {DETECTORS[other]}", name, figure_text(part.difference)])
    corrected = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    cells = [
        [*row, f"{p_values[n]:.3f}", f"{corrected[n]:.3f}"] if n in corrected else [*row, "—", "—"]
        for n, row in enumerate(rows)
    ]
    return table(["pictures", "difference in AUROC", "condition", "value [95 % interval]", "p", "p (Holm)"], cells)


def figures() -> str:
    """All overall figures of the shipped detector."""
    summaries = {pictures: summary("shipped", pictures).conditions for pictures in SETS}
    rows = []
    for key, name in FIGURES.items():
        cells = []
        for pictures in SETS:
            for condition in CONDITIONS:
                figure = summaries[pictures][condition].overall.figures[key]
                cells.append(figure_text(figure) if figure.value is not None else f"— ({figure.reason})")
        rows.append([name, *cells])
    return table(["figure", *(f"{s}, {c}" for s in SETS.values() for c in CONDITIONS.values())], rows)


def parts(pictures: str, kind: str) -> str:
    """Per generator or per photo source of one set."""
    conditions = summary("shipped", pictures).conditions
    side, label = ("generators", "fake") if kind == "generators" else ("sources", "real")
    rows = []
    for name in sorted(getattr(conditions["delivered"], side)):
        cells = []
        for condition in CONDITIONS:
            row = getattr(conditions[condition], side)[name]
            cells += [figure_text(row.figures["auroc"]), figure_text(row.figures[f"{label}_accuracy_at_threshold"])]
        count = row.n_fake if label == "fake" else row.n_real
        rows.append([name, str(count), *cells])
    called = "called fake" if label == "fake" else "called real"
    header = [kind[:-1] if kind == "generators" else "photo source", "n"]
    return table([*header, *(f"{what}, {c}" for c in CONDITIONS.values() for what in ("AUROC", called))], rows)


def matched() -> str:
    """AUROC where fakes and reals show the same content, on the corpus test split."""
    rows = []
    for name, sides in MATCHED.items():
        result = matched_auroc(predictions("shipped", "corpus-test"), **sides)
        counts = f"{result['alike'].n_real} real, {result['alike'].n_fake} fake"
        rows.append([name, counts, *(figure_text(result[condition].figures["auroc"]) for condition in CONDITIONS)])
    return table(["pair", "n", *CONDITIONS.values()], rows)


def verdicts_of(scored: pd.DataFrame, suffix: str = "") -> list[Verdict]:
    """What `predict` calls every row that has a score, by that and by its distance from the training pictures.

    Raises ValidationError where the shipped detector has a domain model and the distances were not recorded.
    """
    rows, limit = scored.dropna(subset=[f"logit{suffix}"]), stored().distance_limit
    distances = rows.get(f"distance{suffix}", pd.Series(np.nan, index=rows.index)).astype(float)
    domains = [None if limit is None else Domain(distance=distance, limit=limit) for distance in distances]
    return [
        decide(float(logit), stored().verdicts, domain=domain).verdict
        for logit, domain in zip(rows[f"logit{suffix}"], domains, strict=True)
    ]


def verdicts() -> str:
    """How often each verdict is given at the default rates, by what a picture is."""
    rows = []
    for pictures, words in SETS.items():
        recorded = summary("shipped", pictures)
        for condition, part in conditions(pictures).items():
            scored = part.scored
            called_N = answers(scored.logit_N, *stored().fake_and_real(), stored().far(scored))
            for kind, chosen in KINDS.items():
                chosen_N = chosen(scored)
                found = (
                    share(called_N[chosen_N] == call, scored.group_N[chosen_N], int(kind != "real"),
                          recorded.resamples, recorded.seed)
                    for call in (1, 0, -1)
                )  # fmt: skip
                rows.append([words, condition, f"{kind} ({chosen_N.sum()})", *map(figure_text, found)])
    return table(["pictures", "condition", "truly", "likely_fake", "likely_real", "unsure"], rows)


def _is_manipulated(pictures: Pictures) -> Bool:
    return np.isin(pictures.generator_N.astype(str), list(MANIPULATED))


def abstention() -> str:
    """Errors of the shipped detector before and after abstention."""
    rows = []
    for pictures, words in SETS.items():
        recorded = summary("shipped", pictures)
        for condition, part in conditions(pictures).items():
            names = ["balanced_accuracy_at_threshold", *ABSTENTION]
            before, *after = compute_figures(
                part.scored, names, stored=stored(), resamples=recorded.resamples, seed=recorded.seed
            ).values()
            n_fake = part.scored.label_N.sum()
            rows.append([f"{words} ({len(part.scored) - n_fake} real, {n_fake} fake), {condition}",
                         *(figure_text(figure) for figure in (_complement(before), *after))])  # fmt: skip
    return table(["pictures", "error before", *ABSTENTION.values()], rows)


def _complement(figure: Figure) -> Figure:
    value, low, high = (None if v is None else 1 - v for v in (figure.value, figure.high, figure.low))
    return Figure(value=value, low=low, high=high, reason=figure.reason)


def stream_weights() -> str:
    """Mean weight of each stream by label."""
    rows = []
    for pictures, words in SETS.items():
        scored = predictions("shipped", pictures)
        columns = [column for column in scored if column.startswith("weight_")]
        for label, side in enumerate(("real", "fake")):
            chosen = scored[(scored["condition"] == "delivered") & (scored["label"] == label)][columns]
            cells = [f"{chosen[c].mean():.2f} ± {chosen[c].std():.2f}" for c in columns]
            rows.append([words, f"{side} ({len(chosen)})", *cells])
    return table(["pictures", "truly", *(c.removeprefix("weight_") for c in columns)], rows)


def failures() -> str:
    """The generators and photo sources on which the shipped detector is worst."""
    lines = []
    for pictures, words in SETS.items():
        condition = summary("shipped", pictures).conditions["alike"]
        missed, alarming = (
            sorted(
                (item for item in part.items() if item[1].figures["auroc"].low is not None),
                key=lambda item: item[1].figures["auroc"].value or 0.0,
            )[:5]
            for part in (condition.generators, condition.sources)
        )
        for rows, what in (
            (missed, "generators least told from photographs"),
            (alarming, "photo sources least told from fakes"),
        ):
            names = ", ".join(f"{name} {figure_text(row.figures['auroc'])}" for name, row in rows)
            lines.append(f"- {words}, {what} (AUROC, everything alike): {names}.")
    return "\n".join(lines)


def parity() -> str:
    """What the int8 export changed: logits and verdicts of the same pictures."""
    rows = []
    for pictures, words in SETS.items():
        if not is_recorded("shipped-int8", pictures):
            continue
        keys = ["id", "path", "condition"]
        both = predictions("shipped", pictures).merge(predictions("shipped-int8", pictures), on=keys)
        both = both.dropna(subset=["logit_x", "logit_y"])
        for condition, name in CONDITIONS.items():
            pairs = both[both["condition"] == condition]
            change = (pairs["logit_x"].astype(float) - pairs["logit_y"].astype(float)).abs()
            changed = sum(a != b for a, b in zip(verdicts_of(pairs, "_x"), verdicts_of(pairs, "_y"), strict=True))
            cells = [f"{change.mean():.4f}", f"{change.max():.4f}", f"{changed} ({changed / len(pairs):.2%})"]
            rows.append([words, name, str(len(pairs)), *cells])
    return table(["pictures", "condition", "n", "mean change of the logit", "largest", "verdicts changed"], rows)
