"""The one evaluation runner: pictures x conditions in, predictions.parquet, metrics.json and a record out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from tristream.atomic import replaced, write_text
from tristream.data.files import file_facts
from tristream.data.manifest import Manifest
from tristream.environment import usable_cores
from tristream.errors import ImageError, UsageError
from tristream.evaluation.conditions import CONDITIONS, USUAL, Condition, TreatedCrops, contexts_of, rehearse
from tristream.evaluation.figures import Stored
from tristream.evaluation.predictions import CONTENT, PERTURBATIONS, VIDEO
from tristream.evaluation.record import BootstrapRecord, Identity, RunRecord, claim, parse_record
from tristream.evaluation.run_folder import DONE, check_finished, finish
from tristream.evaluation.summary import Summary, summarise
from tristream.images.decode import decode
from tristream.images.preprocess import Preprocessing
from tristream.metrics.calibration import Calibration
from tristream.metrics.domain import DomainModel
from tristream.runtime.predictor import default_thresholds
from tristream.runtime.session import Scores, Session, score_pictures, score_subsets, token_distances
from tristream.typing import Float32, Progress, UInt8

T = TypeVar("T")


WORKERS = min(16, usable_cores())
"""Threads that decode and treat pictures while others are scored."""
_KEPT_COLUMNS = ("path", "label", "generator", "source", "group", "split")
_KEPT_IF_THERE = (CONTENT, VIDEO)


@dataclass(frozen=True)
class Fitted:
    """What was fitted on other pictures."""

    calibration: Calibration | None = None
    domain: DomainModel | None = None
    """Of the whole detector; where streams are masked it says nothing, and is left out."""
    recalibrated: Mapping[str, Calibration | None] = field(default_factory=dict)
    """By condition, in place of `calibration`; None: it could not be fitted."""

    def of(self, condition: Condition) -> Calibration | None:
        """The calibration under a condition."""
        return self.recalibrated.get(condition.name, self.calibration)

    def domain_of(self, condition: Condition) -> DomainModel | None:
        """The domain model under a condition."""
        return self.domain if condition.streams is None else None

    def stored(self, condition: Condition) -> Stored:
        """Where a picture is called what, under a condition."""
        calibration, domain = self.of(condition), self.domain_of(condition)
        threshold = None if calibration is None else calibration.balanced_accuracy_threshold
        return Stored(threshold, default_thresholds(calibration), None if domain is None else domain.limit)


def score_manifest(
    session: Session,
    preprocessing: Preprocessing,
    manifest: Manifest,
    condition: Condition,
    calibration: Calibration | None = None,
    domain: DomainModel | None = None,
    *,
    batch_size: int = 16,
    workers: int = WORKERS,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Score every picture once. A picture that cannot be decoded is a row with `error` and no logit.

    Returns one row per picture, in the manifest's order: id, path, label, generator, source, group, split, condition,
    logit, probability (null without calibration), distance (null without a domain model), weight_<stream>, error. Where
    the condition changes crops, also perturbation_l2 and perturbation_linf: how far, over all crops of the picture.
    """
    (table,) = score_together(
        session, preprocessing, manifest, [condition], Fitted(calibration, domain),
        batch_size=batch_size, workers=workers, progress=progress,
    )  # fmt: skip
    return table


def score_together(
    session: Session,
    preprocessing: Preprocessing,
    manifest: Manifest,
    conditions: Sequence[Condition],
    fitted: Fitted,
    *,
    batch_size: int = 16,
    workers: int = WORKERS,
    progress: Progress | None = None,
) -> list[pd.DataFrame]:
    """As `score_manifest`, a table per condition, for conditions that differ in nothing but the streams that take part.

    Each picture is decoded once, and each stream computed once.
    """
    count, first = len(manifest), conditions[0]
    found = [_Found(count, session.stream_names) for _ in conditions]
    contexts = contexts_of(manifest)
    errors = [""] * count

    def prepare(row: int) -> TreatedCrops | ImageError:
        try:
            return first.crops(listed_pixels(manifest, row), contexts[row], preprocessing)
        except ImageError as error:
            return error

    done = 0
    for rows, prepared in prefetched(prepare, count, batch_size, workers):
        readable = []
        for row, outcome in zip(rows, prepared, strict=True):
            if isinstance(outcome, ImageError):
                errors[row] = str(outcome)
            else:
                readable.append((row, outcome))
        if readable:
            scores = _scores(session, [picture.crops for _, picture in readable], conditions, batch_size)
            for condition, kept, of_condition in zip(conditions, found, scores, strict=True):
                kept.add([row for row, _ in readable], of_condition, fitted.domain_of(condition))
                kept.perturbations |= {row: picture.perturbation() for row, picture in readable if first.on_crops}
        done += len(rows)
        if progress:
            progress(done, count)
    return [
        kept.table(manifest, condition, fitted.of(condition), errors)
        for condition, kept in zip(conditions, found, strict=True)
    ]


def listed_pixels(manifest: Manifest, row: int) -> UInt8:
    """The picture of a row, uint8[H, W, 3]. Raises ImageError also where the file is not the one that was listed: what
    is scored is told by its digest."""
    path, digest = manifest.file(row), manifest.table["sha256"].iloc[row]
    pixels = decode(path).pixels
    if digest and file_facts(path, ["sha256"])["sha256"] != digest:
        raise ImageError(f"{path}: its SHA-256 is not the one that the manifest lists; index the data again")
    return pixels


def _scores(
    session: Session, pictures: list[Float32], conditions: Sequence[Condition], batch_size: int
) -> list[Scores]:
    subsets = [condition.streams for condition in conditions if condition.streams is not None]
    if subsets:
        return score_subsets(session, pictures, subsets, batch_size)
    return [score_pictures(session, pictures, batch_size)]


class _Found:
    """The scores of one condition, picture by picture."""

    def __init__(self, count: int, streams: tuple[str, ...]) -> None:
        self._streams = streams
        self._logits, self._distances = np.full(count, np.nan), np.full(count, np.nan)
        self._weights = np.full((count, len(streams)), np.nan)
        self._not_finite: dict[int, float] = {}
        self.perturbations: dict[int, tuple[float, float]] = {}
        """By row, where the condition changes crops."""

    def add(self, places: list[int], scores: Scores, domain: DomainModel | None) -> None:
        """Keep the scores of the pictures in these rows."""
        finite = np.isfinite(scores.logits_B)
        self._logits[places] = np.where(finite, scores.logits_B, np.nan)
        self._not_finite |= {places[b]: float(scores.logits_B[b]) for b in np.flatnonzero(~finite)}
        if scores.stream_weights_BS is not None:
            self._weights[places] = scores.stream_weights_BS
        if domain is not None:
            self._distances[places] = token_distances(scores.tokens_BSD, domain)

    def table(
        self, manifest: Manifest, condition: Condition, calibration: Calibration | None, errors: Sequence[str]
    ) -> pd.DataFrame:
        """A row per picture. errors: of pictures that could not be decoded."""
        columns = [*_KEPT_COLUMNS, *(name for name in _KEPT_IF_THERE if name in manifest.table)]
        table = manifest.table[columns].reset_index(drop=True)
        table.insert(0, "id", manifest.table["sha256"].to_numpy())
        table["condition"] = condition.name
        table["logit"] = self._logits
        table["probability"] = np.nan if calibration is None else calibration.probability(self._logits)
        table["distance"] = self._distances
        if condition.on_crops is not None:
            for place, name in enumerate(PERTURBATIONS):
                table[name] = [self.perturbations.get(row, (np.nan, np.nan))[place] for row in range(len(table))]
        for column, name in enumerate(self._streams):
            table[f"weight_{name}"] = self._weights[:, column]
        table["error"] = [
            f"{table['path'].iloc[row]}: the detector's score is {self._not_finite[row]}"
            if row in self._not_finite else error
            for row, error in enumerate(errors)
        ]  # fmt: skip
        return table


def evaluate(
    session: Session,
    preprocessing: Preprocessing,
    fitted: Fitted,
    manifest: Manifest,
    out: Path,
    identity: Identity,
    *,
    conditions: Sequence[str | Condition] = USUAL,
    seed: int = 0,
    resamples: int = 1000,
    batch_size: int = 16,
    workers: int = WORKERS,
    progress: Progress | None = None,
    prepare: Callable[[], None] = lambda: None,
) -> Summary:
    """Score a manifest under each condition; write predictions.parquet, metrics.json, record.json and DONE into `out`.

    fitted: calibration and more of the detector. identity: of the run; conditions, counts and seed are added for its
    record. What an earlier call with the same record has finished is read, not scored
    again: the whole, or the conditions it got to. prepare: called before anything is scored, once it is clear that the
    folder is this run's and not finished. Raises ManifestError when `out` holds another run.
    """
    chosen = [CONDITIONS[condition] if isinstance(condition, str) else condition for condition in conditions]
    if len({condition.name for condition in chosen}) < len(chosen) or not chosen:
        raise UsageError(f"expected conditions, each once, got: {', '.join(c.name for c in chosen) or 'none'}")
    record = RunRecord(
        **dict(identity) | {"manifest_digest": manifest.digest()},
        conditions={condition.name: condition.record() for condition in chosen},
        pictures=len(manifest),
        bootstrap=BootstrapRecord(seed=seed, resamples=resamples),
    )
    rehearse(chosen)
    out.mkdir(parents=True, exist_ok=True)
    claim(out / "record.json", record)
    if (out / DONE).is_file():
        check_finished(out)
        _drop_parts(out, chosen)
        return parse_record(Summary, out / "metrics.json")
    prepare()
    tables = score_conditions(session, preprocessing, manifest, chosen, out, fitted,
                              batch_size=batch_size, workers=workers, progress=progress)  # fmt: skip
    predictions = pd.concat(tables, ignore_index=True)
    _write_parquet(predictions, out / "predictions.parquet")
    stored = fitted.stored(CONDITIONS["delivered"])
    summary = summarise(
        predictions,
        balanced_accuracy_threshold=stored.balanced_accuracy,
        verdict_thresholds=stored.verdicts,
        distance_limit=stored.distance_limit,
        recalibrated={c.name: fitted.stored(c) for c in chosen if c.name in fitted.recalibrated},
        masked={c.name: c.streams for c in chosen if c.streams},
        attacks=[c.name for c in chosen if c.on_crops],
        seed=seed,
        resamples=resamples,
    )
    write_text(out / "metrics.json", summary.model_dump_json(indent=1) + "\n")
    finish(out)
    _drop_parts(out, chosen)
    return summary


def score_conditions(
    session: Session,
    preprocessing: Preprocessing,
    manifest: Manifest,
    conditions: Sequence[Condition],
    out: Path,
    fitted: Fitted,
    *,
    batch_size: int = 16,
    workers: int = WORKERS,
    progress: Progress | None = None,
) -> list[pd.DataFrame]:
    """A table per condition, each kept in `out` as soon as it is finished, and read from there when it is."""
    pictures = {condition.name: condition.of(manifest) for condition in conditions}
    missing = [condition for condition in conditions if not _part(out, condition).is_file()]
    total = sum(map(len, pictures.values()))
    before = total - sum(len(pictures[condition.name]) for condition in missing)

    def report(done: int, _: int) -> None:
        if progress:
            progress(before + done * len(together), total)

    for together in _together(missing):
        part = pictures[together[0].name]
        tables = score_together(session, preprocessing, part, together, fitted,
                                batch_size=batch_size, workers=workers, progress=report)  # fmt: skip
        for condition, table in zip(together, tables, strict=True):
            _write_parquet(table, _part(out, condition))
        before += len(part) * len(together)
    return [pd.read_parquet(_part(out, condition)) for condition in conditions]


def _together(conditions: Sequence[Condition]) -> Iterator[list[Condition]]:
    """Those that differ in the masked streams alone, as one; every other by itself."""
    masking: dict[Any, list[Condition]] = {}
    for condition in conditions:
        if condition.streams is None:
            yield [condition]
        else:
            masking.setdefault((condition.apply, condition.on_crops, condition.ids), []).append(condition)
    yield from masking.values()


def _part(out: Path, condition: Condition) -> Path:
    return out / f"predictions.{condition.name}.parquet"


def _drop_parts(out: Path, conditions: Sequence[Condition]) -> None:
    for condition in conditions:
        _part(out, condition).unlink(missing_ok=True)


def _write_parquet(table: pd.DataFrame, path: Path) -> None:
    with replaced(path) as part:
        table.to_parquet(part, index=False)


def prefetched(
    prepare: Callable[[int], T], count: int, batch_size: int, workers: int
) -> Iterator[tuple[list[int], list[T]]]:
    """Batches of prepared rows in order; at most two batches are decoded ahead."""
    with ThreadPoolExecutor(workers) as pool:
        waiting: list[tuple[list[int], list[Future[T]]]] = []
        for start in range(0, count, batch_size):
            rows = list(range(start, min(count, start + batch_size)))
            waiting.append((rows, [pool.submit(prepare, row) for row in rows]))
            if len(waiting) > 2:
                rows, futures = waiting.pop(0)
                yield rows, [future.result() for future in futures]
        for rows, futures in waiting:
            yield rows, [future.result() for future in futures]
