"""Does it help to abstain outside the detector's domain? Risk-coverage on reserved pictures, with and without.

usage: python tools/domain_check.py CHECKPOINT MANIFEST [--split reserved] [--directions 32 ...]
                                     [-o results/domain-check.json]

Each check of a closed list (too small, too long, far from the training pictures in token space) ranks the pictures that
it flags below all others; the plain ranking is the distance of the logit from the stored threshold. A check is worth
having when the area under the risk-coverage curve (AURC) falls by it: paired bootstrap over groups, Bonferroni over the
checks that flag anything; of the others this split says nothing. Distances are those of `tristream.metrics.domain`,
fitted on a sample of the split that was trained on: with so many directions as travel with a detector, and with all.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tristream.cli.progress import progress_bar
from tristream.data.files import file_facts
from tristream.data.manifest import Manifest
from tristream.data.sample import sample
from tristream.environment import describe_environment
from tristream.evaluation.checkpoint import Opened, open_detector
from tristream.evaluation.conditions import CONDITIONS
from tristream.evaluation.domain import groups, locate
from tristream.metrics import uncertainty as unc
from tristream.metrics.domain import DIRECTIONS, DomainModel, fit_domain
from tristream.metrics.selective import RiskCoverage, confidence
from tristream.typing import Bool, Float64, Int64, ProgressInWords

# N pictures, F = streams x fusion width

SHORTER_SIDES = (64, 128, 224, 256)
"""px; a picture below is too small."""
ASPECTS = (1.6, 2.0, 3.0)
"""Longer side over shorter; a picture above is too long."""
FAR = (0.95, 0.99)
"""Quantiles of the distances of training pictures; a picture beyond is far."""
LEVEL = 0.95


@dataclass(frozen=True)
class Observed:
    """What the detector says of N pictures, and what they are."""

    logit_N: Float64
    label_N: Int64
    group_N: npt.NDArray[np.str_]
    token_NF: Float64
    """The streams' tokens before the fusion, side by side."""
    shorter_side_N: Float64
    """px, as delivered."""
    aspect_N: Float64
    """Longer side over shorter, as delivered."""


def domain_models(reference: Observed, directions: Sequence[int], seed: int) -> dict[str, DomainModel]:
    """One for each number of principal directions, and one of all of them, by name."""
    fitted = reference.token_NF, reference.label_N, reference.group_N
    whole = reference.token_NF.shape[1]
    return {
        "all directions" if count == whole else f"{count} directions": fit_domain(
            *fitted, source="", directions=count, seed=seed
        )
        for count in (*directions, whole)
    }


def flags(found: Observed, models: Mapping[str, DomainModel]) -> dict[str, Bool]:
    """What each check flags, by its name, bool[N] each."""
    return (
        {f"shorter side under {side} px": found.shorter_side_N < side for side in SHORTER_SIDES}
        | {f"longer than {aspect:g}:1": found.aspect_N > aspect for aspect in ASPECTS}
        | {
            f"farther than {share:.0%} of training pictures, {name}": model.distance(found.token_NF)
            > model.model_copy(update={"share": share}).limit
            for name, model in models.items()
            for share in FAR
        }
    )


def judge(found: Observed, threshold: float, checks: Mapping[str, Bool], resamples: int, seed: int) -> dict[str, Any]:
    """AURC of the plain ranking, and what each check changes about it; a negative difference is an improvement."""
    plain = RiskCoverage(found.logit_N, found.label_N, threshold)
    once = np.ones((1, found.label_N.size))
    bootstrap = {"resamples": resamples, "level": LEVEL, "seed": seed}
    wrong_N = (found.logit_N >= threshold) != found.label_N
    tried = sum(bool(flagged_N.any()) for flagged_N in checks.values())
    rows = []
    for name, flagged_N in checks.items():
        last_N = confidence(found.logit_N, threshold, flagged_N)
        checked = RiskCoverage(found.logit_N, found.label_N, threshold, last_N)
        paired = unc.paired_group_bootstrap(checked.area, plain.area, found.label_N, found.group_N, **bootstrap)
        interval = paired.interval if paired else None
        rows.append(
            {
                "check": name,
                "n_real_flagged": int((flagged_N & (found.label_N == 0)).sum()),
                "n_fake_flagged": int((flagged_N & (found.label_N == 1)).sum()),
                "n_wrong_flagged": int((flagged_N & wrong_N).sum()),
                "aurc": float(checked.area(once)[0]),
                "difference": paired.difference if paired else None,
                "interval": [interval.low, interval.high] if interval else None,
                "p_value": paired.p_value if paired else None,
                "improves": bool(paired and interval and interval.high < 0 and paired.p_value * tried <= 1 - LEVEL),
            }
        )
    interval = unc.group_bootstrap(plain.area, found.label_N, found.group_N, **bootstrap)
    return {
        "n_real": int((found.label_N == 0).sum()),
        "n_fake": int((found.label_N == 1).sum()),
        "n_groups": int(np.unique(found.group_N).size),
        "n_wrong": int(wrong_N.sum()),
        "aurc": float(plain.area(once)[0]),
        "aurc_interval": [interval.low, interval.high] if interval else None,
        "checks": rows,
    }


def observe(opened: Opened, manifest: Manifest, condition: str, show: ProgressInWords) -> Observed:
    """Score pictures of which the manifest knows the sizes. Raises UsageError for a detector without streams."""
    found = locate(
        opened.detector.session, opened.detector.metadata.preprocessing, manifest, CONDITIONS[condition], show
    )
    table = found.manifest.table
    side_N2 = np.sort(table[["width", "height"]].to_numpy(np.float64), axis=1)
    return Observed(
        logit_N=found.logit_N,
        label_N=table["label"].to_numpy(np.int64),
        group_N=groups(found.manifest),
        token_NF=found.token_NF.astype(np.float64),
        shorter_side_N=side_N2[:, 0],
        aspect_N=side_N2[:, 1] / side_N2[:, 0],
    )


def main() -> None:
    """Read the arguments, score, compare and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--split", default="reserved", help="where the check is chosen; never a test split")
    parser.add_argument("--trained-on", default="train", help="the split that distances are measured from")
    parser.add_argument("--reference", type=int, default=2000, help="how many pictures of it (default 2000)")
    parser.add_argument("--directions", type=int, nargs="+", default=[DIRECTIONS], help="kept apart, others pooled")
    parser.add_argument("--limit", type=int, help="so many pictures of the split, to try it out")
    parser.add_argument("--condition", default="delivered", choices=["delivered", "alike"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("-o", "--output", type=Path, default=Path("results/domain-check.json"))
    options = parser.parse_args()
    opened, manifest = open_detector(options.checkpoint, "cpu"), Manifest.read(options.manifest)
    metadata = opened.detector.metadata
    if metadata.calibration is None:
        sys.exit(f"{options.checkpoint}: not calibrated, so it has no threshold; run tristream calibrate")
    facts = file_facts(options.checkpoint, ["sha256"])  # now: the file may be replaced while this runs
    chosen = sample(manifest.split(options.split), options.limit, str(options.seed))
    trained_on = sample(manifest.split(options.trained_on), options.reference, str(options.seed))
    seen = partial(observe, opened, condition=options.condition)
    with progress_bar(options.trained_on) as show:
        reference = seen(trained_on, show=show)
    with progress_bar(options.split) as show:
        found = seen(chosen, show=show)
    threshold = metadata.calibration.balanced_accuracy_threshold
    models = domain_models(reference, options.directions, options.seed)
    result = judge(found, threshold, flags(found, models), options.resamples, options.seed)
    record = {
        "command": shlex.join(["python", "tools/domain_check.py", *sys.argv[1:]]),
        "checkpoint": {"name": metadata.name, "file": options.checkpoint.name,
                       **facts},
        "data": f"{options.manifest.parent.name}/{options.manifest.name}",
        "split": options.split,
        "condition": options.condition,
        "manifest_digest": chosen.digest(),
        "reference": {"split": options.trained_on, "pictures": len(trained_on), "digest": trained_on.digest()},
        "domain_models": {name: {"fitted": model.n_fitted, "held_out": len(model.distances), "limit": model.limit,
                                 "share": model.share, "json_bytes": len(model.model_dump_json())}
                          for name, model in models.items()},
        "bootstrap": {"seed": options.seed, "resamples": options.resamples, "level": LEVEL},
        **result,
        "environment": describe_environment(),
    }  # fmt: skip
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for row in result["checks"]:
        print(row["check"], row["n_real_flagged"], row["n_fake_flagged"], row["difference"], row["improves"], sep="\t")


if __name__ == "__main__":
    main()
