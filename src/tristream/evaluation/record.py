"""What is written of a run beside its numbers, and read again: who scored which pictures, under which conditions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError, field_validator

from tristream.atomic import write_text
from tristream.config import RecordedModel
from tristream.errors import ManifestError, UsageError
from tristream.evaluation.conditions import VIEWS, ConditionRecord
from tristream.metadata import Use

M = TypeVar("M", bound=BaseModel)


class Recorded(RecordedModel):
    """A record or a part of one; its fields that are None are not written."""

    def to_json(self) -> str:
        """As it lies in a file."""
        return self.model_dump_json(indent=1, exclude_none=True) + "\n"


class CheckpointRecord(Recorded):
    """Which file was scored with."""

    name: str
    file: str = ""
    sha256: str


class DetectorRecord(Recorded):
    """What a detector started from and how it was trained, as far as its file says so."""

    name: str = ""
    initialisation: str | None = None
    deviations: tuple[str, ...] = ()
    """From the paper whose name it carries."""
    seed: int | None = None
    """Of its training."""
    training_data_sha256: str | None = None
    streams: tuple[str, ...] | None = None

    @field_validator("deviations", mode="before")
    @classmethod
    def _one_or_many(cls, given: Any) -> Any:
        return () if not given else (given,) if isinstance(given, str) else given


class PicturesRecord(Recorded):
    """Which pictures were asked for, as `evaluation.checkpoint.PictureSet` has them; no path of the machine."""

    data: str
    split: str | None = None
    limit: int | None = None
    matched_by: str | None = None
    only: dict[str, tuple[str, ...]] | None = None
    manifest_digest: str | None = None
    """Of the pictures, once they were read."""


class AttacksRecord(Recorded):
    """What attacks cross, and by what they are made."""

    threshold_logit: float
    seed: int
    library: str


class ScoresRecord(Recorded):
    """How somebody's scores were joined to the pictures."""

    joined_by: str
    are_probabilities: bool
    threshold: float | None = None
    missing: int
    extra: int


class ScorerRecord(Recorded):
    """Who scored, and on what machine."""

    command: str = ""
    checkpoint: CheckpointRecord
    detector: DetectorRecord = DetectorRecord()
    precision: str | None = None
    """"32" or "bf16"; None for scores of unknown origin."""
    engine: str = ""
    environment: dict[str, Any] | None = None


class Identity(PicturesRecord, ScorerRecord):
    """Who scores which pictures: all that is known before anything is scored."""

    tristream: str | None = None
    """The release that joined somebody's scores; an `environment` has it among its packages."""
    recalibrated_on: PicturesRecord | None = None
    attacks: AttacksRecord | None = None
    known: dict[Use, int] | None = None
    """Pictures, at least, that something was done with before they were scored; see `ModelMetadata.known`."""
    scores: ScoresRecord | None = None


class BootstrapRecord(Recorded):
    """Of the intervals."""

    seed: int
    resamples: int


class RunRecord(Identity):
    """record.json of one evaluation."""

    conditions: dict[str, ConditionRecord]
    pictures: int
    """How many."""
    manifest_digest: str
    bootstrap: BootstrapRecord

    @property
    def reduced_precision(self) -> str | None:
        """What the detector computed in, where that was less than float32."""
        return None if self.precision == "32" else self.precision

    @field_validator("conditions", mode="before")
    @classmethod
    def _with_families(cls, given: Any) -> Any:
        """Records of older releases hold the descriptions alone."""
        if not isinstance(given, dict):
            return given
        conditions = {name: {"description": c} if isinstance(c, str) else c for name, c in given.items()}
        return {
            name: {"family": "view"} | c if isinstance(c, dict) and name in VIEWS else c
            for name, c in conditions.items()
        }


def known_in_words(use: Use, count: int) -> str:
    """What follows the name of a detector, of pictures that it knows.

    >>> known_in_words("chosen", 3)
    'was chosen on at least 3 of these pictures'
    """
    verb = {"trained": "was trained on", "chosen": "was chosen on", "calibrated": "has its thresholds from"}[use]
    return f"{verb} at least {count} of these pictures"


def parse_record(model: type[M], path: Path) -> M:
    """Read a JSON file. Raises UsageError for one that is not of this model."""
    try:
        return model.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise UsageError(f"{path}: not a record of this release; {where}: {first['msg']}") from None


_NOT_COMPARED = {"command", "detector", "engine", "environment", "tristream", "data", "known"}
"""Of a record: checkpoint and pictures have digests, and the rest says who computed, not what."""


def claim(path: Path, record: Recorded) -> None:
    """Write a record, or make sure that the one there is of the same run, and leave it: it says who scored.

    Raises ManifestError for the record of another run, and for a file that is none.
    """
    if not path.is_file():
        write_text(path, record.to_json())
        return
    try:
        existing = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ManifestError(f"{path}: not a record ({error}); remove it or choose another output folder") from None
    asked = record.model_dump(mode="json", exclude_none=True)
    told_apart = (asked.keys() | existing.keys()) - _NOT_COMPARED
    different = sorted(key for key in told_apart if _identity(existing.get(key)) != _identity(asked.get(key)))
    if different:
        words = ", ".join("scores" if key == "checkpoint" and _are_scores(existing) else key for key in different)
        raise ManifestError(f"{path.parent}: holds another run (other {words}); remove it or choose another folder")


def _are_scores(record: dict[str, Any]) -> bool:
    """Whether a record is of scores that somebody brought: what takes the place of weights is their file."""
    file = str((record.get("checkpoint") or {}).get("file", ""))
    return bool(file) and not file.endswith((".safetensors", ".onnx"))


def _identity(value: Any) -> Any:
    """What has to be equal: of a condition its description, which is all that records of older releases have."""
    if not isinstance(value, dict):
        return value
    return {
        k: v["description"] if isinstance(v, dict) and "description" in v else v
        for k, v in value.items()
        if v is not None
    }
