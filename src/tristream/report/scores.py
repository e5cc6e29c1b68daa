"""Scores of any detector from a CSV become a run folder like that of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

import numpy as np
import pandas as pd
from scipy.special import logit

from tristream import __version__
from tristream.atomic import write_text
from tristream.data.files import enumerated, file_facts
from tristream.data.manifest import Manifest
from tristream.errors import UsageError
from tristream.evaluation.conditions import CONDITIONS, ConditionRecord
from tristream.evaluation.record import BootstrapRecord, CheckpointRecord, RunRecord, ScoresRecord, claim
from tristream.evaluation.run_folder import finish
from tristream.evaluation.summary import summarise
from tristream.typing import Bool

ENGINE = "scores from a file"
DELIVERED = "delivered"
LEFT_OUT = "left_out.csv"
_KEPT = ("path", "label", "generator", "source", "group", "split")
_LEAST, _MOST = np.nextafter(0.0, 1.0), np.nextafter(1.0, 0.0)
"""Where probabilities of 0 and 1 go, whose logits would be infinite."""


@dataclass(frozen=True)
class Joined:
    """What became of the rows of a file of scores."""

    scored: int
    missing: tuple[str, ...]
    """Pictures without a score, with the condition where it is not `delivered`."""
    extra: tuple[str, ...]
    """Rows that no picture belongs to; they stand in LEFT_OUT."""

    def sentences(self) -> list[str]:
        """In words, the first names of each kind."""
        found = [f"{self.scored:,} scores joined"]
        if self.missing:
            found.append(
                f"{len(self.missing):,} pictures have no score and count as failed: {enumerated(self.missing)}"
            )
        if self.extra:
            found.append(f"{len(self.extra):,} rows belong to no picture and are left out: {enumerated(self.extra)}")
        return found


def run_from_scores(
    scores: Path,
    manifest: Manifest,
    out: Path,
    *,
    data: str,
    split: str | None = None,
    command: str = "",
    name: str | None = None,
    are_probabilities: bool = False,
    threshold: float | None = None,
    seed: int = 0,
    resamples: int = 1000,
) -> Joined:
    """Join scores to a manifest and write predictions.parquet, metrics.json, record.json and DONE into `out`.

    scores: CSV with the columns `score`, higher for fake and of any scale, `path` (as in the manifest, or absolute) or
    `sha256`, and, where there are several, `condition`. data, split, command: for the record. name: of the detector, by
    default that of the file. are_probabilities: scores are P(fake) in [0, 1], and figures that need a probability are
    computed. threshold: score from which a picture is called fake, chosen on other pictures. Raises UsageError for
    duplicates, for scores that are no finite numbers, and where nothing matches; ManifestError when `out` holds
    another run.
    """
    given = _read(scores, are_probabilities)
    key = "sha256" if "sha256" in given else "path"
    if key == "path":
        given["path"] = [_relative(path, manifest.root) for path in given["path"]]
    manifest = manifest.with_file_columns(["sha256"])
    is_known = _check_keys(given, key, manifest, scores)
    tables = [_scored(manifest, rows, key, scores.name) for _, rows in given.groupby("condition", sort=False)]
    predictions = pd.concat(tables, ignore_index=True)
    if are_probabilities:
        raw = predictions["logit"].to_numpy(np.float64)
        predictions["probability"], predictions["logit"] = raw, logit(np.clip(raw, _LEAST, _MOST))
    extra, failed = given[~is_known], predictions[predictions["error"] != ""]
    record = RunRecord(
        command=command,
        checkpoint=CheckpointRecord(name=name or scores.stem, file=scores.name, **file_facts(scores, ["sha256"])),
        data=data,
        split=split,
        engine=ENGINE,
        tristream=__version__,
        scores=ScoresRecord(
            joined_by=key, are_probabilities=are_probabilities, threshold=threshold,
            missing=len(failed), extra=len(extra),
        ),
        conditions={condition: _condition(condition, scores.name) for condition in given["condition"].unique()},
        pictures=len(manifest),
        manifest_digest=manifest.digest(),
        bootstrap=BootstrapRecord(seed=seed, resamples=resamples),
    )  # fmt: skip
    claim(out / "record.json", record)
    if threshold is not None and are_probabilities:
        threshold = float(logit(np.clip(threshold, _LEAST, _MOST)))
    summary = summarise(predictions, balanced_accuracy_threshold=threshold, seed=seed, resamples=resamples)
    predictions.to_parquet(out / "predictions.parquet", index=False)
    write_text(out / "metrics.json", summary.model_dump_json(indent=1) + "\n")
    extra.to_csv(out / LEFT_OUT, index=False)
    finish(out)
    return Joined(len(predictions) - len(failed), tuple(_named(failed, "path")), tuple(_named(extra, key)))


def _check_keys(given: pd.DataFrame, key: str, manifest: Manifest, scores: Path) -> Bool:
    """Which rows belong to a picture. Raises UsageError where none does, and for a second score of a picture."""
    if (twice := given.duplicated([key, "condition"])).any():
        first = given[twice].iloc[0]
        raise UsageError(
            f"{scores}: {int(twice.sum())} rows give a second score, the first for {first[key]} ({first['condition']})"
        )
    is_known = given[key].isin(manifest.table[key]).to_numpy(np.bool_)
    if not is_known.any():
        raise UsageError(
            f"{scores}: no row belongs to a picture; its {key} is such as '{given[key].iloc[0]}', "
            f"the manifest's such as '{manifest.table[key].iloc[0]}'"
        )
    return is_known


def _read(path: Path, are_probabilities: bool) -> pd.DataFrame:
    """The rows as text, but `score` as f64. Raises UsageError that names the row (from 1, the header not counted)."""
    if not path.is_file():
        raise UsageError(f"{path}: no such file; expected a CSV with the columns path (or sha256) and score")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not a CSV table in UTF-8: {error}") from None
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes the surplus cells for an index
        raise UsageError(f"{path}: the rows have more cells than the header has columns ({', '.join(table.columns)})")
    if "score" not in table or not {"path", "sha256"} & set(table) or table.empty:
        raise UsageError(
            f"{path}: expected rows with path (or sha256) and score; found: {', '.join(map(str, table.columns))}"
        )
    score = pd.to_numeric(table["score"], errors="coerce").to_numpy(np.float64)
    allowed = (score >= 0) & (score <= 1) if are_probabilities else np.isfinite(score)
    if not allowed.all():
        row = int(np.flatnonzero(~allowed)[0])
        expected = "a probability in [0, 1]" if are_probabilities else "a finite number"
        raise UsageError(f"{path}: row {row + 1}: expected {expected} as score, found '{table['score'].iloc[row]}'")
    table["score"] = score
    if "condition" not in table:
        table["condition"] = DELIVERED
    table["condition"] = table["condition"].replace("", DELIVERED)
    if "sha256" in table:
        table["sha256"] = table["sha256"].str.lower()
        blank = np.flatnonzero(table["sha256"] == "")
        if blank.size and "path" not in table:
            raise UsageError(f"{path}: row {blank[0] + 1} has no sha256")
        if blank.size:
            table = table.drop(columns="sha256")
    return table


def _relative(path: str, root: Path) -> str:
    """As a manifest writes it, also where the file has the absolute path."""
    absolute = PurePath(path)
    if absolute.is_absolute() and absolute.is_relative_to(root):
        return absolute.relative_to(root).as_posix()
    return str(PurePosixPath(path))


def _scored(manifest: Manifest, rows: pd.DataFrame, key: str, file: str) -> pd.DataFrame:
    """A predictions table of one condition; the scores stand in `logit`."""
    table = manifest.table[list(_KEPT)].reset_index(drop=True)
    table.insert(0, "id", manifest.table["sha256"].to_numpy())
    score = manifest.table[key].map(dict(zip(rows[key], rows["score"], strict=True))).to_numpy(np.float64)
    missing = np.isnan(score)
    table["condition"], table["logit"], table["probability"] = rows["condition"].iloc[0], score, np.nan
    table["error"] = np.where(missing, table["path"] + f": no score in {file}", "")
    return table


def _condition(name: str, file: str) -> ConditionRecord:
    if name in CONDITIONS:
        return CONDITIONS[name].record()
    return ConditionRecord(description=f"called '{name}' in {file}", family="other")


def _named(rows: pd.DataFrame, key: str) -> list[str]:
    return [
        name if condition == DELIVERED else f"{name} ({condition})"
        for name, condition in zip(rows[key], rows["condition"], strict=True)
    ]
