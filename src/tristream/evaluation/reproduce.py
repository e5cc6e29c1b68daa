"""Score the pictures of a recorded run again and compare, picture by picture."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pydantic import Field

from tristream.config import StrictModel
from tristream.data.files import file_facts
from tristream.errors import CheckpointError, ManifestError, UsageError
from tristream.evaluation.checkpoint import PictureSet, evaluate_checkpoint
from tristream.evaluation.conditions import CONDITIONS, Condition, masked
from tristream.evaluation.figures import Stored
from tristream.evaluation.predictions import Pictures
from tristream.evaluation.record import RunRecord
from tristream.evaluation.run_folder import read_run
from tristream.evaluation.summary import Summary
from tristream.metrics.answers import answers
from tristream.typing import Int64, Progress

TOLERANCE = {"32": 1e-3, "bf16": 0.25}
"""Largest change of a logit that counts as reproduced, by precision: float32 sums in another order move logits of a few
units by some 1e-5, bfloat16 keeps 8 bits of each intermediate value."""

OF_RANKS = ("auroc", "average_precision", "equal_error_rate", "tpr_at_1_percent_fpr", "tpr_at_5_percent_fpr")
"""Figures that depend on the order of the logits alone."""


class ReproducedCondition(StrictModel):
    """One condition, then and now."""

    pictures: int
    """Scored then and now."""
    max_logit_change: float | None
    """Largest |now - then| of a picture; None where no picture was scored both times."""
    mean_logit_change: float | None
    verdicts_changed: int | None
    """Pictures that are called otherwise at the recorded thresholds; None where none are recorded."""
    failures_changed: int
    """Pictures that failed then or now, and not both."""
    figures: dict[str, float]
    """now - then of every figure of all pictures that has a value both times."""


class Reproduction(StrictModel):
    """A recorded run, scored again."""

    run: str
    checkpoint_sha256: str
    manifest_digest: str
    engine_then: str
    engine_now: str
    tolerance: float
    conditions: dict[str, ReproducedCondition]
    left_out: dict[str, str] = Field(default_factory=dict)
    """Conditions that could not be scored again, and why."""

    @property
    def is_within(self) -> bool:
        """Whether every logit that was scored again is within the tolerance and the same pictures failed."""
        return all(
            c.failures_changed == 0 and (c.max_logit_change is None or c.max_logit_change <= self.tolerance)
            for c in self.conditions.values()
        )


def reproduce(
    run: Path,
    checkpoint: Path,
    data: Path,
    *,
    out: Path | None = None,
    tolerance: float | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    command: str = "",
) -> Reproduction:
    """Score again what `run` records: the same pictures, split, conditions and precision.

    out: where the new run is kept, and goes on after an interruption; None keeps nothing. tolerance: of a logit, by
    default that of the recorded precision. The digests of checkpoint and pictures are compared first: raises
    CheckpointError and ManifestError where they differ, UsageError for a run that cannot be scored again. Conditions
    that this release makes otherwise are left out, with a reason; a run of nothing else cannot be scored again.
    """
    then = read_run(run)
    record, pictures = then.record, PictureSet.recorded(then.record, data)
    precision = _check_inputs(record, run, checkpoint, pictures)
    conditions, left_out = _conditions(record, run)
    if out is not None and out.resolve() == run.resolve():
        raise UsageError(f"{out}: is the run itself; keep the new one elsewhere")
    with TemporaryDirectory() as folder:
        kept = out or Path(folder) / "run"
        evaluate_checkpoint(
            checkpoint,
            pictures,
            kept,
            conditions=conditions,
            device=device,
            precision=precision,
            seed=record.bootstrap.seed,
            progress=progress,
            command=command,
        )
        now = read_run(kept)
        scored = now.pictures  # read while the folder is there
    return Reproduction(
        run=run.name,
        checkpoint_sha256=record.checkpoint.sha256,
        manifest_digest=record.manifest_digest,
        engine_then=record.engine,
        engine_now=now.record.engine,
        tolerance=TOLERANCE[precision] if tolerance is None else tolerance,
        conditions={
            name: _compared(before, scored[name], then.summary.stored(name), _changes(then.summary, now.summary, name))
            for name, before in then.pictures.items()
            if name in scored
        },
        left_out=left_out,
    )


def _conditions(record: RunRecord, run: Path) -> tuple[list[Condition], dict[str, str]]:
    """The recorded conditions, and why some cannot be made from their names. Raises UsageError where none can."""
    found, left_out = [], {}
    for name, recorded in record.conditions.items():
        if recorded.family == "attack":
            raise UsageError(
                f"{run}: an attack climbs gradients, whose last bits differ from machine to machine, so its pixels are "
                f"not made again; run it anew and compare the rates: {record.command}"
            )
        if not recorded.streams and name not in CONDITIONS:
            left_out[name] = "cannot be made again from its record"
            continue
        condition = masked(recorded.streams) if recorded.streams else CONDITIONS[name]
        if recorded.description != condition.description:
            left_out[name] = f"this release makes it otherwise than its record: {recorded.description}"
            continue
        found.append(condition)
    if not found:
        raise UsageError(f"{run}: " + "; ".join(f"the condition {name}: {reason}" for name, reason in left_out.items()))
    return found, left_out


def _check_inputs(record: RunRecord, run: Path, checkpoint: Path, pictures: PictureSet) -> str:
    """The precision to score in, once it is clear that file and pictures are those of the run."""
    if record.precision not in TOLERANCE:
        raise UsageError(f"{run}: cannot be scored again, for its engine is: {record.engine or 'not recorded'}")
    found, recorded = file_facts(checkpoint, ["sha256"])["sha256"], record.checkpoint.sha256
    if found != recorded:
        raise CheckpointError(f"{checkpoint}: sha256 {found[:12]}; the run was made with {recorded[:12]}")
    manifest = pictures.read()
    if (digest := manifest.digest()) != record.manifest_digest:
        raise ManifestError(
            f"{pictures.data}: its {len(manifest)} pictures and labels have the digest {digest[:12]}; "
            f"the run's {record.pictures} had {record.manifest_digest[:12]}"
        )
    return record.precision


def _compared(then: Pictures, now: Pictures, stored: Stored, figures: dict[str, float]) -> ReproducedCondition:
    then, now = (pictures[np.argsort(pictures.id_N, kind="stable")] for pictures in (then, now))
    both_N = ~then.failed_N & ~now.failed_N
    change_N = np.abs(now.logit_N - then.logit_N)[both_N]
    called = [_called(pictures[both_N], stored) for pictures in (then, now)]
    verdicts_changed = None if called[0] is None or called[1] is None else int((called[0] != called[1]).sum())
    return ReproducedCondition(
        pictures=int(both_N.sum()),
        max_logit_change=float(change_N.max()) if change_N.size else None,
        mean_logit_change=float(change_N.mean()) if change_N.size else None,
        verdicts_changed=verdicts_changed,
        failures_changed=int((then.failed_N != now.failed_N).sum()),
        figures=figures,
    )


def _called(pictures: Pictures, stored: Stored) -> Int64 | None:
    if stored.verdicts is None:
        return None
    is_measured = not np.isnan(pictures.distance_N).any()  # not where streams were masked
    return answers(pictures.logit_N, *stored.fake_and_real(), stored.far(pictures) if is_measured else None)


def _changes(then: Summary, now: Summary, condition: str) -> dict[str, float]:
    """Where thresholds were re-calibrated for the condition, only of figures that need none."""
    changes = {}
    recorded = then.conditions[condition]
    for measure, before in recorded.overall.figures.items():
        if recorded.is_recalibrated and measure not in OF_RANKS:
            continue
        after = now.conditions[condition].overall.figures.get(measure)
        if after is not None and after.value is not None and before.value is not None:
            changes[measure] = after.value - before.value
    return changes
