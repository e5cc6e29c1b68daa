"""Run folders with planted scores, written as an evaluation writes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tristream.evaluation.summary import Summary, summarise
from tristream.runtime.verdict import Thresholds

HOSTILE = "<script>alert(1)</script> & a_b %50 | #{x} ~^\\"
"""A generator's name that no format may take at its word."""
GENERATORS = {"gan": 2.0, HOSTILE: 1.0}
"""How far each generator's fakes lie above the reals, in logits."""
SOURCES = ("phone", "film")


PERTURBED = {
    "delivered": {"factor": 1.0},
    "jpeg-30": {"factor": 0.2, "description": "JPEG", "family": "jpeg", "severity": 2, "parameters": {"quality": 30}},
    "jpeg-70": {"factor": 0.6, "description": "JPEG", "family": "jpeg", "severity": 1, "parameters": {"quality": 70}},
}
MASKED = {
    "delivered": {"factor": 1.0},
    **{
        "only-" + "-".join(streams): {"factor": factor, "description": "", "family": "masked", "streams": streams}
        for streams, factor in ((["spatial"], 0.8), (["frequency"], 0.1), (["spatial", "frequency"], 0.9))
    },
}


def planted_predictions(
    conditions: Mapping[str, float], *, seed: int = 0, per_name: int = 14, generators: Mapping[str, float] = GENERATORS
) -> pd.DataFrame:
    """Predictions of pictures that are the same for every seed. conditions: name to a factor of the separation."""
    random = np.random.default_rng(seed)
    rows = []
    for condition, factor in conditions.items():
        for label, name, shift in [(0, s, 0.0) for s in SOURCES] + [(1, g, shift) for g, shift in generators.items()]:
            for index in range(per_name):
                logit = random.normal(factor * shift, 1)
                rows.append(
                    {
                        "id": hashlib.sha256(f"{name} {index}".encode()).hexdigest(),
                        "path": f"{hashlib.sha256(name.encode()).hexdigest()[:8]}/{index}.png",
                        "label": label,
                        "generator": name if label else "",
                        "source": "" if label else name,
                        "group": f"{name} {index // 2}",
                        "split": "test",
                        "condition": condition,
                        "logit": logit,
                        "probability": 1 / (1 + np.exp(-logit)),
                        "error": "",
                    }
                )
    return pd.DataFrame(rows)


def plant_run(
    folder: Path,
    name: str = "ours",
    *,
    conditions: Mapping[str, Any] = {"delivered": {"factor": 1.0}, "alike": {"factor": 0.5}},
    seed: int = 0,
    detector: Mapping[str, Any] | None = None,
    predictions: pd.DataFrame | None = None,
    pictures: str = "set/index.csv",
    calibrated: bool = True,
) -> Summary:
    """Write a run folder. conditions: name to `factor` and what the record says of it."""
    folder.mkdir(parents=True)
    if predictions is None:
        predictions = planted_predictions({c: facts.get("factor", 1.0) for c, facts in conditions.items()}, seed=seed)
    if not calibrated:
        predictions["probability"] = np.nan
    summary = summarise(
        predictions,
        balanced_accuracy_threshold=0.5 if calibrated else None,
        verdict_thresholds=Thresholds(fake=1.5, real=-1.0) if calibrated else None,
        masked={name: tuple(facts["streams"]) for name, facts in conditions.items() if "streams" in facts},
        resamples=40,
    )
    record = {
        "command": f"tristream evaluate --checkpoint {name}.safetensors --out {folder.name}",
        "checkpoint": {
            "name": name,
            "file": f"{name}.safetensors",
            "sha256": hashlib.sha256(f"{name} {seed}".encode()).hexdigest(),
        },
        "data": pictures,
        "split": "test",
        "precision": "32",
        "engine": "planted",
        "conditions": {
            condition: {key: value for key, value in facts.items() if key != "factor"}
            or f"{condition}, as older records describe it"
            for condition, facts in conditions.items()
        },
        "pictures": len(predictions) // len(conditions),
        "manifest_digest": hashlib.sha256(pictures.encode()).hexdigest(),
        "bootstrap": {"seed": 0, "resamples": 40},
        **({} if detector is None else {"detector": dict(detector)}),
    }
    predictions.to_parquet(folder / "predictions.parquet", index=False)
    (folder / "metrics.json").write_text(summary.model_dump_json(), encoding="utf-8")
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    (folder / "DONE").write_text("", encoding="utf-8")
    return summary
