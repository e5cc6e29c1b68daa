"""What the model card is made from: the records under results/, and what travels with the shipped detector."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from tristream.detectors.checkpoint import read_metadata
from tristream.evaluation.figures import Stored
from tristream.evaluation.predictions import Pictures, read_conditions
from tristream.evaluation.summary import Summary
from tristream.metadata import ModelMetadata
from tristream.runtime.predictor import FALSE_ALARM_RATE, MISS_RATE
from tristream.runtime.verdict import Thresholds

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results"
CARD = ROOT / "src" / "tristream" / "weights" / "MODEL_CARD.md"

DETECTORS = {
    "shipped": "**tristream 0.3** (three streams)",
    "shipped-int8": "the same, int8 export",
    "lone": "lone EfficientNet-Lite0",
    "lone-lite0": "the same before step 3",
    "univfd": "CLIP ViT-B/16 probe",
}
SETS = {"corpus-test": "corpus test split", "unseen": "unseen"}
CONDITIONS = {"delivered": "as delivered", "alike": "everything alike"}


def is_recorded(detector: str, pictures: str) -> bool:
    """Whether a detector was evaluated on a set of pictures; where it was not, a cell is a dash."""
    return (RESULTS / detector / pictures / "DONE").is_file()


def summary(detector: str, pictures: str) -> Summary:
    """The recorded metrics of a detector on a set of pictures."""
    return Summary.model_validate_json((RESULTS / detector / pictures / "metrics.json").read_text(encoding="utf-8"))


def predictions(detector: str, pictures: str) -> pd.DataFrame:
    """The recorded predictions of a detector on a set of pictures."""
    return pd.read_parquet(RESULTS / detector / pictures / "predictions.parquet")


def record(name: str) -> Any:
    """A JSON record under results/."""
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


@cache
def shipped() -> ModelMetadata:
    """What travels with the shipped detector."""
    return read_metadata(CARD.with_name("detector.safetensors"))


@cache
def stored() -> Stored:
    """The thresholds of the shipped detector, those of the verdicts at the default rates."""
    found, domain = shipped().calibration, shipped().domain
    assert found is not None
    verdicts = Thresholds(fake=found.fake_threshold(FALSE_ALARM_RATE), real=found.real_threshold(MISS_RATE))
    return Stored(found.balanced_accuracy_threshold, verdicts, None if domain is None else domain.limit)


def conditions(pictures: str) -> dict[str, Pictures]:
    """The recorded pictures of the shipped detector by condition, in the card's words."""
    found = read_conditions(predictions("shipped", pictures))
    return {name: found[condition] for condition, name in CONDITIONS.items()}
