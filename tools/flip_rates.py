"""How often does a verdict flip when the picture is re-encoded? The re-test of `predict`, on labelled pictures.

usage: python tools/flip_rates.py MANIFEST [--split reserved] [--checkpoint C] [--stability 3] [--limit N]
                                  [-o results/flip-rates.json]

For each class two shares, with intervals by bootstrap over groups. *Flips*: of all pictures, those of which at least
one copy gets another verdict, by the score alone. *Lost*: of the pictures to which the score alone gives a verdict,
those that flip, and so become `unsure`. The shares say what the re-test costs; nothing is chosen by them.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import tristream
from tristream.cli.progress import progress_bar
from tristream.data.files import file_facts
from tristream.data.manifest import Manifest
from tristream.data.sample import sample
from tristream.environment import describe_environment
from tristream.evaluation.domain import groups
from tristream.evaluation.figures import LEVEL, Figure
from tristream.evaluation.text import figure_text
from tristream.metrics import uncertainty as unc
from tristream.runtime.engines import shipped_detector
from tristream.runtime.predictor import STABILITY
from tristream.runtime.verdict import decide
from tristream.typing import Bool

# N pictures of one class, R resamples


def share(hit_N: Bool, group_N: npt.NDArray[np.str_], label: int, resamples: int, seed: int) -> Figure:
    """The share of pictures that are hit, with its interval over groups; null without any picture."""
    if not hit_N.size:
        return Figure(reason="no such picture")
    value, label_N = float(hit_N.mean()), np.full(hit_N.size, label)
    if reason := unc.too_few(label_N, group_N):
        return Figure(value=value, reason=reason)
    if value in (0.0, 1.0):
        found = unc.unanimous_interval(value, np.unique(group_N).size, LEVEL)
        return Figure(value=value, low=found.low, high=found.high)
    value_R = unc.bootstrap_values(
        lambda counts_RN: counts_RN @ hit_N / counts_RN.sum(axis=1), label_N, group_N, resamples=resamples, seed=seed
    )
    interval = unc.percentile_interval(value_R, LEVEL)
    assert interval is not None, "a share strictly between 0 and 1 varies"
    return Figure(value=value, low=interval.low, high=interval.high)


def flip_rates(
    predictor: tristream.Predictor, manifest: Manifest, stability: int, resamples: int, seed: int, show: Any
) -> dict[str, Any]:
    """Of the reals and of the fakes of a manifest; failed pictures are counted and left out."""
    flips: list[bool | None] = []
    claims: list[bool] = []
    predictions = predictor.predict_many(
        [manifest.file(row) for row in range(len(manifest))],
        lambda done: show(done, len(manifest)),
        stability=stability,
    )
    for prediction in predictions:
        if prediction.logit is None or prediction.stability is None:
            flips.append(None)
            claims.append(False)
            continue
        flips.append(prediction.stability.flips > 0)
        claims.append(decide(prediction.logit, prediction.thresholds).verdict != "unsure")
    scored_N = np.array([flip is not None for flip in flips])
    flip_N, claim_N, label_N, group_N = (
        np.array(flips, np.bool_), np.array(claims), manifest.table["label"].to_numpy(np.int64), groups(manifest)
    )  # fmt: skip
    rows = {}
    for label, name in enumerate(("real", "fake")):
        of_N, kept = scored_N & (label_N == label), {"label": label, "resamples": resamples, "seed": seed}
        said_N = of_N & claim_N
        rows[name] = {
            "n": int(of_N.sum()),
            "n_groups": int(np.unique(group_N[of_N]).size),
            "n_failed": int(((label_N == label) & ~scored_N).sum()),
            "flips": share(flip_N[of_N], group_N[of_N], **kept).model_dump(),
            "n_with_verdict": int(said_N.sum()),
            "lost": share(flip_N[said_N], group_N[said_N], **kept).model_dump(),
        }
    return rows


def main() -> None:
    """Read the arguments, score, count and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--split", default="reserved", help="never a test split of which nothing is to be known")
    parser.add_argument("--checkpoint", type=Path, help="default: the shipped detector")
    parser.add_argument("--stability", type=int, default=STABILITY, help=f"re-encoded copies (default {STABILITY})")
    parser.add_argument("--limit", type=int, help="so many pictures, drawn at random, to try it out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("-o", "--output", type=Path, default=Path("results/flip-rates.json"))
    options = parser.parse_args()
    predictor, path = tristream.load(options.checkpoint), options.checkpoint or shipped_detector()
    if predictor.calibration is None:
        sys.exit(f"{path}: not calibrated, so it has no verdicts; run tristream calibrate")
    facts = file_facts(path, ["sha256"])  # now: the file may be replaced while this runs
    manifest = sample(Manifest.read(options.manifest).split(options.split), options.limit, str(options.seed))
    with progress_bar(options.split) as show:
        rows = flip_rates(predictor, manifest, options.stability, options.resamples, options.seed, show)
    record = {
        "command": shlex.join(["python", "tools/flip_rates.py", *sys.argv[1:]]),
        "checkpoint": {"name": predictor.model_name, "file": path.name, **facts},
        "engine": predictor.engine,
        "data": f"{options.manifest.parent.name}/{options.manifest.name}",
        "split": options.split,
        "manifest_digest": manifest.digest(),
        "stability": options.stability,
        "bootstrap": {"seed": options.seed, "resamples": options.resamples, "level": LEVEL},
        "classes": rows,
        "environment": describe_environment(),
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for name, row in rows.items():
        flips, lost = (figure_text(Figure(**row[key])) for key in ("flips", "lost"))
        print(f"{name}: {flips} of {row['n']} flip; {lost} of the {row['n_with_verdict']} with a verdict lose it")


if __name__ == "__main__":
    main()
