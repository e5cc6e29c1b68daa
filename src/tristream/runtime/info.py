"""What a detector is: the facts that travel inside its file, and the engine that runs it here; for `tristream info`."""

from __future__ import annotations

from pathlib import Path

from tristream import __version__
from tristream.config import StrictModel
from tristream.errors import CheckpointError, UsageError
from tristream.metrics.domain import DomainModel
from tristream.runtime import engines
from tristream.runtime.predictor import FALSE_ALARM_RATE, MISS_RATE, Predictor
from tristream.runtime.verdict import Thresholds

CARD = "MODEL_CARD.md"
"""A model card lies beside the weights that it describes."""


class CalibrationInfo(StrictModel):
    """How a logit becomes a probability and a verdict."""

    probability_fake: str
    """The formula, at even odds."""
    reals: int
    fakes: int
    """How many reserved pictures it was measured on."""
    source: str
    false_alarm_rate: float
    miss_rate: float
    """The default rates, which `thresholds` belong to."""
    thresholds: Thresholds | None
    """None where there are too few reserved pictures for the default rates; `note` says so."""
    false_alarms_guaranteed: bool
    """The false-alarm rate is promised for a new photo source; else it was measured on the reserved ones."""
    misses_guaranteed: bool
    """The miss rate is promised for a new generator; else it was measured on the reserved ones."""
    note: str = ""


class DomainInfo(StrictModel):
    """Which pictures are too unlike the training pictures to judge."""

    limit: float
    """Distance of a picture's tokens beyond which the verdict is `unsure`."""
    share: float
    """So many of `held_out` training pictures lie within it."""
    held_out: int
    fitted: int
    """How many other training pictures the distance was fitted on."""
    directions: int
    """Principal directions that it looks along one by one."""
    source: str


class DetectorInfo(StrictModel):
    """The record that `tristream info --format json` prints."""

    tristream: str
    """The installed version."""
    checkpoint: str
    model: str
    made_with: str
    """The tristream version that wrote the checkpoint."""
    created: str
    licence: str
    detector: str
    training_data_sha256: str
    notes: str
    engine: str
    """The runtime that scores here, with the precision that it computes in."""
    streams: tuple[str, ...]
    input_px: int
    """Side of the square crop that the detector sees."""
    shorter_side_px: int
    """What a picture's shorter side is resized to before cropping."""
    calibration: CalibrationInfo | None
    domain: DomainInfo | None
    """None for a checkpoint that looks at no distance: nothing is `unsure` for being unlike the training pictures."""
    card: str | None
    """Where the model card lies; None for a checkpoint without one beside it."""


def describe(checkpoint: Path | None = None, device: str = "auto") -> DetectorInfo:
    """Open a checkpoint, by default the shipped detector, and say what it is. Raises as `tristream.load`."""
    predictor = engines.load(checkpoint, device)
    path = checkpoint or engines.shipped_detector()
    metadata = predictor.metadata
    card = _card(path)
    return DetectorInfo(
        tristream=__version__,
        checkpoint=str(path),
        model=metadata.name,
        made_with=metadata.tristream_version,
        created=metadata.created,
        licence=metadata.licence,
        detector=metadata.detector,
        training_data_sha256=metadata.training_data_sha256,
        notes=metadata.notes,
        engine=predictor.engine,
        streams=predictor.session.stream_names,
        input_px=metadata.preprocessing.crop,
        shorter_side_px=metadata.preprocessing.short_side,
        calibration=_calibration(predictor),
        domain=_domain(predictor.domain_model),
        card=None if card is None else str(card),
    )


def read_card(checkpoint: Path | None = None) -> str:
    """Markdown text of the model card beside a checkpoint. Raises CheckpointError where there is none."""
    path = checkpoint or engines.shipped_detector()
    card = _card(path)
    if card is None:
        raise CheckpointError(f"{path}: no {CARD} beside it; write what it was trained on and how well it works there")
    return card.read_text(encoding="utf-8")


def lines(info: DetectorInfo) -> list[tuple[str, str]]:
    """The facts as (what, in words) for people, in reading order."""
    facts = [
        ("model", f"{info.model} ({info.detector}), made with tristream {info.made_with} on {info.created[:10]}"),
        ("tristream", info.tristream),
        ("checkpoint", info.checkpoint),
        ("licence", info.licence or "not stated"),
        ("trained on", _training(info)),
        ("engine", info.engine),
        ("streams", ", ".join(info.streams) or "none"),
        ("input", f"{info.input_px} px square of a picture whose shorter side becomes {info.shorter_side_px} px"),
    ]
    calibration = info.calibration
    if calibration is None:
        facts.append(("calibration", "none: no probability, no verdicts; run 'tristream calibrate'"))
    else:
        facts += [
            ("calibration", f"{calibration.reals} reals and {calibration.fakes} fakes: {calibration.source}"),
            ("P(fake)", f"{calibration.probability_fake}, if half of the pictures are fake"),
            ("thresholds", _thresholds(calibration)),
        ]
    domain = info.domain
    facts.append(("domain", "not checked: strange pictures get a verdict, too" if domain is None else _near(domain)))
    return [*facts, ("model card", info.card or f"none: no {CARD} beside the checkpoint")]


def _calibration(predictor: Predictor) -> CalibrationInfo | None:
    calibration = predictor.calibration
    if calibration is None:
        return None
    thresholds, note = None, ""
    try:
        thresholds = predictor.thresholds(FALSE_ALARM_RATE, MISS_RATE)
    except UsageError as error:  # so few reserved pictures that the default rates cannot be promised
        note = str(error)
    return CalibrationInfo(
        probability_fake=f"sigmoid({calibration.slope:.4g} x logit {calibration.intercept:+.4g})",
        reals=len(calibration.real_logits),
        fakes=len(calibration.fake_logits),
        source=calibration.source,
        false_alarm_rate=FALSE_ALARM_RATE,
        miss_rate=MISS_RATE,
        thresholds=thresholds,
        false_alarms_guaranteed=calibration.guaranteed("likely_fake", FALSE_ALARM_RATE),
        misses_guaranteed=calibration.guaranteed("likely_real", MISS_RATE),
        note=note,
    )


def _domain(model: DomainModel | None) -> DomainInfo | None:
    if model is None:
        return None
    return DomainInfo(
        limit=model.limit,
        share=model.share,
        held_out=len(model.distances),
        fitted=model.n_fitted,
        directions=len(model.variances),
        source=model.source,
    )


def _near(domain: DomainInfo) -> str:
    return (
        f"unsure beyond distance {domain.limit:.2f}, within which {100 * domain.share:g} % of {domain.held_out} "
        f"training pictures lie; fitted on {domain.fitted} others: {domain.source}"
    )


def _thresholds(calibration: CalibrationInfo) -> str:
    if calibration.thresholds is None:
        return calibration.note
    promised = {True: "promised for sources that are new", False: "measured, not guaranteed"}
    return (
        f"likely_fake above logit {calibration.thresholds.fake:.2f}: at most {100 * calibration.false_alarm_rate:g} % "
        f"of real pictures, {promised[calibration.false_alarms_guaranteed]}; likely_real below "
        f"{calibration.thresholds.real:.2f}: at most {100 * calibration.miss_rate:g} % of fakes, "
        f"{promised[calibration.misses_guaranteed]}"
    )


def _training(info: DetectorInfo) -> str:
    digest = info.training_data_sha256
    words = f"a manifest whose rows have the digest {digest[:16]}…" if digest else "not recorded"
    return f"{words} ({info.notes})" if info.notes else words


def _card(checkpoint: Path) -> Path | None:
    card = checkpoint.parent / CARD
    return card if card.is_file() else None
