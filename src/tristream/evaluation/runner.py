"""The one evaluation runner: pictures x conditions in, predictions.parquet, metrics.json and a record out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from tristream.data.manifest import Manifest
from tristream.errors import ImageError, ManifestError
from tristream.evaluation.conditions import CONDITIONS, Condition
from tristream.evaluation.summary import Summary, summarise
from tristream.images.decode import decode
from tristream.images.preprocess import Preprocessing
from tristream.metrics.calibration import Calibration
from tristream.runtime.predictor import default_thresholds
from tristream.runtime.session import Session, score_pictures

T = TypeVar("T")

Progress = Callable[[int, int], None]
"""Called with (pictures done, pictures in total)."""

_KEPT_COLUMNS = ("path", "label", "generator", "source", "group", "split")


def score_manifest(
    session: Session,
    preprocessing: Preprocessing,
    manifest: Manifest,
    condition: Condition,
    calibration: Calibration | None = None,
    *,
    batch_size: int = 16,
    workers: int = 2,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Score every picture once. A picture that cannot be decoded is a row with `error` and no logit.

    Returns one row per picture, in the manifest's order: id, path, label, generator, source, group, split, condition,
    logit, probability (null without calibration), weight_<stream>, error.
    """
    count = len(manifest)
    logits = np.full(count, np.nan)
    weights = np.full((count, len(session.stream_names)), np.nan)
    errors = [""] * count

    def prepare(row: int) -> npt.NDArray[np.float32] | ImageError:
        try:
            return preprocessing.crops(condition.apply(decode(manifest.file(row)).pixels))
        except ImageError as error:
            return error

    done = 0
    for rows, prepared in _prefetched(prepare, count, batch_size, workers):
        readable = [
            (row, crops) for row, crops in zip(rows, prepared, strict=True) if not isinstance(crops, ImageError)
        ]
        for row, outcome in zip(rows, prepared, strict=True):
            if isinstance(outcome, ImageError):
                errors[row] = str(outcome)
        scores = score_pictures(session, [crops for _, crops in readable], batch_size)
        places = [row for row, _ in readable]
        logits[places] = np.where(np.isfinite(scores.logits_B), scores.logits_B, np.nan)
        for row, logit in zip(places, scores.logits_B, strict=True):
            if not np.isfinite(logit):
                errors[row] = f"{manifest.table['path'].iloc[row]}: the detector's score is {logit}"
        if scores.stream_weights_BS is not None and places:
            weights[places] = scores.stream_weights_BS
        done += len(rows)
        if progress:
            progress(done, count)
    table = manifest.table[list(_KEPT_COLUMNS)].reset_index(drop=True)
    table.insert(0, "id", manifest.table["sha256"].to_numpy())
    table["condition"] = condition.name
    table["logit"] = logits
    table["probability"] = np.nan if calibration is None else calibration.probability(logits)
    for column, name in enumerate(session.stream_names):
        table[f"weight_{name}"] = weights[:, column]
    table["error"] = errors
    return table


def evaluate(
    session: Session,
    preprocessing: Preprocessing,
    calibration: Calibration | None,
    manifest: Manifest,
    out: Path,
    record: dict[str, Any],
    *,
    conditions: Sequence[str] = ("delivered", "alike"),
    seed: int = 0,
    resamples: int = 1000,
    batch_size: int = 16,
    workers: int = 2,
    progress: Progress | None = None,
) -> Summary:
    """Score a manifest under each condition; write predictions.parquet, metrics.json, record.json and DONE into `out`.

    record: what identifies the run (command, checkpoint, data); conditions, counts and seed are added. What an earlier
    call with the same record has finished is read, not scored again: the whole, or the conditions it got to. Raises
    ManifestError when `out` holds another run.
    """
    out.mkdir(parents=True, exist_ok=True)
    chosen = [CONDITIONS[name] for name in conditions]
    record = {**record, "conditions": {c.name: c.description for c in chosen}, "pictures": len(manifest),
              "manifest_digest": manifest.digest(), "bootstrap": {"seed": seed, "resamples": resamples}}  # fmt: skip
    _claim(out, record)
    if (out / "DONE").is_file():
        return Summary.model_validate_json((out / "metrics.json").read_text(encoding="utf-8"))
    tables = []
    for position, condition in enumerate(chosen):
        part = out / f"predictions.{condition.name}.parquet"
        if part.is_file():
            tables.append(pd.read_parquet(part))
        else:

            def report(done: int, total: int, before: int = position) -> None:
                if progress:
                    progress(before * total + done, len(chosen) * total)

            table = score_manifest(session, preprocessing, manifest, condition, calibration,
                                   batch_size=batch_size, workers=workers, progress=report)  # fmt: skip
            _write_parquet(table, part)
            tables.append(table)
    predictions = pd.concat(tables, ignore_index=True)
    _write_parquet(predictions, out / "predictions.parquet")
    threshold = None if calibration is None else calibration.balanced_accuracy_threshold
    summary = summarise(
        predictions,
        balanced_accuracy_threshold=threshold,
        verdict_thresholds=default_thresholds(calibration),
        seed=seed,
        resamples=resamples,
    )
    (out / "metrics.json").write_text(summary.model_dump_json(indent=1) + "\n", encoding="utf-8")
    for condition in chosen:
        (out / f"predictions.{condition.name}.parquet").unlink()
    (out / "DONE").write_text("", encoding="utf-8")
    return summary


def _claim(out: Path, record: dict[str, Any]) -> None:
    """Write record.json, or make sure that the one there is of the same run."""
    path = out / "record.json"
    if path.is_file():
        existing = json.loads(path.read_text(encoding="utf-8"))
        told_apart = record.keys() - {"command", "engine", "environment"}
        different = sorted(key for key in told_apart if existing.get(key) != record[key])
        if different:
            raise ManifestError(
                f"{out}: holds another run ({', '.join(different)} differ); choose another output folder"
            )
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _write_parquet(table: pd.DataFrame, path: Path) -> None:
    temporary = path.with_suffix(".tmp")
    table.to_parquet(temporary, index=False)
    temporary.replace(path)


def _prefetched(
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
