"""Writes the model card and its figures from a template and the records under results/; no number in it is typed.

usage: python tools/model_card.py [--check]      --check writes nothing and fails when one of them is out of date

A `{{name}}` in tools/MODEL_CARD.template.md is replaced by the table of that name in TABLES.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import card_figures
import card_tables
from card_records import (
    CARD,
    CONDITIONS,
    DETECTORS,
    RESULTS,
    ROOT,
    SETS,
    conditions,
    is_recorded,
    record,
    shipped,
    stored,
    summary,
)
from card_tables import table

from tristream.benchmark.report import BenchmarkReport
from tristream.evaluation.figures import Figure
from tristream.evaluation.text import figure_text
from tristream.report.plots import Bootstrap

TEMPLATE = ROOT / "tools" / "MODEL_CARD.template.md"
DRAWN = ROOT / "docs" / "figures"


def scale_spread() -> str:
    """Logits of full-size photographs and their smaller copies."""
    rows = []
    for row in record("shipped/scale-spread.json")["rows"]:
        megapixels = row["width"] * row["height"] / 1e6
        cells = [f"{logit:.2f}" for logit in row["logits"].values()]
        rows.append([f"{row['file']} ({row['source']})", f"{megapixels:.1f}", *cells, f"{row['logit_spread']:.2f}"])
    copies = list(record("shipped/scale-spread.json")["rows"][0]["logits"])
    return table(["photograph", "megapixels", *copies, "spread"], rows)


MORE_LOOKS = {"robustness-unseen": "perturbed", "masked-unseen": "streams masked", "attack-unseen": "attacked"}
"""By the place of records, besides those of the views."""


def looks() -> str:
    """Every detector that was ever scored on unseen pictures, the shipped one's predecessors among them."""
    rows = [
        [look["date"], look["checkpoint"], f"`{look['sha256'][:12]}`", f"{look['n_real']} real, {look['n_fake']} fake",
         *(figure_text(Figure(value=look["auroc"].get(condition))) for condition in CONDITIONS),
         ", ".join(MORE_LOOKS[place] for place in look["places"] if place in MORE_LOOKS) or "—"]
        for look in record("unseen-looks.json")["looks"]
    ]  # fmt: skip
    return table(
        ["recorded", "detector", "checkpoint", "n", *(f"AUROC, {words}" for words in CONDITIONS.values()), "also"], rows
    )


def speed() -> str:
    """How fast each engine computes, from the record of one benchmark run."""
    found = BenchmarkReport.model_validate_json((RESULTS / "benchmark.json").read_text(encoding="utf-8"))
    rows = [
        [m.engine or "", str(m.threads), str(m.batch), f"{m.pictures_per_second.median:.1f}",
         "1" if m.ratio is None else f"{m.ratio.median:.2f} ({m.ratio.least:.2f}–{m.ratio.largest:.2f})"]
        for m in found.measurements if m.stage == "forward"
    ]  # fmt: skip
    return f"On {found.environment['processor']}:\n\n" + table(
        ["engine", "threads", "batch", "pictures per second", f"ratio to {found.reference} (least–largest)"], rows
    )


def flips() -> str:
    """How many verdicts the re-test of `predict` costs."""
    found = record("flip-rates.json")
    rows = [
        [f"{side} ({part['n']})", figure_text(Figure(**part["flips"])), str(part["n_with_verdict"]),
         figure_text(Figure(**part["lost"]))]
        for side, part in found["classes"].items()
    ]  # fmt: skip
    return table(["truly", "flips, of all", "get a verdict by the score alone", "flips, of these"], rows)


def domain_check() -> str:
    """Whether abstaining on unusual pictures lowers the risk on the reserved split."""
    found = record("domain-check.json")
    low, high = found["aurc_interval"]
    plain = (
        f"{found['n_real']} real and {found['n_fake']} fake pictures, AURC {found['aurc']:.3f} [{low:.3f}, {high:.3f}]"
    )
    rows = []
    for row in found["checks"]:
        flagged = f"{row['n_real_flagged']} real, {row['n_fake_flagged']} fake"
        if row["difference"] is None or row["interval"] is None:
            rows.append([row["check"], flagged, "—", "no"])
            continue
        figure = Figure(value=row["difference"], low=row["interval"][0], high=row["interval"][1])
        rows.append([row["check"], flagged, figure_text(figure), "yes" if row["improves"] else "no"])
    return f"{plain}.\n\n" + table(["set last", "how many", "change of AURC [95 % interval]", "improves"], rows)


def stored_threshold() -> str:
    """The logit that splits all pictures in two, for metrics."""
    return f"{stored().balanced():.2f}"


def looked_at() -> str:
    """What the verdicts of the tables rest on."""
    if shipped().domain is None:
        return "Only the score is looked at"
    return "The score and the distance from the training pictures are looked at (AURC answers far pictures last)"


def domain_rule() -> str:
    """What `predict` does on pictures that are unlike the training pictures."""
    domain = shipped().domain
    if domain is None:
        return "**`predict` does not do that yet**; its verdicts on such pictures are surer than they should be."
    return f"`predict` therefore calls the farther ones `unsure`, reason `far_from_training_data`: {domain.words}."


def commands() -> str:
    """The commands whose records this card is made from."""
    lines = [record(f"{d}/{s}/record.json")["command"] for d in DETECTORS for s in SETS if is_recorded(d, s)]
    lines += [record("shipped/scale-spread.json")["command"], record("unseen-looks.json")["command"]]
    lines += [record("benchmark.json")["command"], record("domain-check.json")["command"]]
    lines += [record("flip-rates.json")["command"]]
    return "\n".join(f"    {line}" for line in lines)


def environment() -> str:
    """What the evaluation ran on."""
    found = record("shipped/corpus-test/record.json")["environment"]
    packages = ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    machine = f"{found['processor']}, {found['cores']} cores, {found['accelerator'] or 'no GPU'}"
    return f"{machine}; Python {found['python']}, {packages}"


TABLES: dict[str, Callable[[], str]] = {
    "results": card_tables.results,
    "comparisons": card_tables.comparisons,
    "figures": card_tables.figures,
    "verdicts": card_tables.verdicts,
    "abstention": card_tables.abstention,
    "matched": card_tables.matched,
    "stream_weights": card_tables.stream_weights,
    "scale_spread": scale_spread,
    "looks": looks,
    "parity": card_tables.parity,
    "speed": speed,
    "flips": flips,
    "domain_check": domain_check,
    "domain_rule": domain_rule,
    "looked_at": looked_at,
    "stored_threshold": stored_threshold,
    "failures": card_tables.failures,
    "commands": commands,
    "environment": environment,
    **{
        f"{pictures}_{kind}".replace("-", "_"): (lambda pictures=pictures, kind=kind: card_tables.parts(pictures, kind))  # type: ignore[misc]
        for pictures in SETS
        for kind in ("generators", "sources")
    },
}


def card() -> str:
    """The model card's text."""
    template = TEMPLATE.read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: TABLES[match[1]](), template)


def written() -> dict[Path, str]:
    """Every file that this tool writes."""
    unseen, thresholds, recorded = conditions("unseen"), stored(), summary("shipped", "unseen")
    bootstrap = Bootstrap(recorded.resamples, recorded.seed)
    return {
        CARD: card(),
        DRAWN / "unseen-risk-coverage.svg": card_figures.risk_coverage(unseen, thresholds, bootstrap),
        DRAWN / "unseen-reliability.svg": card_figures.reliability(unseen, thresholds, bootstrap),
    }


def main() -> None:
    """Write the card and its figures, or compare them."""
    for path, text in written().items():
        if "--check" not in sys.argv:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path}: out of date; run python tools/model_card.py")
    sys.exit(0)


if __name__ == "__main__":
    main()
