"""Scores from a file: joined to the manifest, and the same run as an evaluation with these logits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.report.planted import planted_predictions
from tristream.data.manifest import Manifest
from tristream.errors import ManifestError, UsageError
from tristream.evaluation.run_folder import find_runs
from tristream.evaluation.summary import Summary, summarise
from tristream.metrics import binary
from tristream.report.runs import arrange
from tristream.report.scores import Joined, run_from_scores

CONDITIONS = {"delivered": 1.0, "alike": 0.5}


@pytest.fixture
def predictions() -> pd.DataFrame:
    return planted_predictions(CONDITIONS)


@pytest.fixture
def manifest(predictions: pd.DataFrame, tmp_path: Path) -> Manifest:
    """The pictures of the predictions; their files do not exist, but their hashes are known."""
    table = predictions[predictions["condition"] == "delivered"].rename(columns={"id": "sha256"})
    columns = ["sha256", "path", "label", "generator", "source", "group", "split"]
    return Manifest.from_table(table[columns], tmp_path, absent_ok=True)


def join(tmp_path: Path, manifest: Manifest, table: pd.DataFrame, **options: object) -> Joined:
    table.to_csv(tmp_path / "theirs.csv", index=False)
    return run_from_scores(
        tmp_path / "theirs.csv", manifest, tmp_path / "run", data="set/index.csv", resamples=40, **options
    )  # type: ignore[arg-type]


def metrics(tmp_path: Path) -> Summary:
    return Summary.model_validate_json((tmp_path / "run/metrics.json").read_text())


@pytest.mark.parametrize("key", ["path", "sha256"])
def test_the_same_logits_give_the_same_run(
    tmp_path: Path, manifest: Manifest, predictions: pd.DataFrame, key: str
) -> None:
    theirs = predictions.rename(columns={"logit": "score", "id": "sha256"})[[key, "score", "condition"]]
    joined = join(tmp_path, manifest, theirs.sample(frac=1, random_state=0), command="tristream report")
    assert (joined.scored, joined.missing, joined.extra) == (len(predictions), (), ())
    expected = summarise(
        predictions.assign(probability=np.nan), balanced_accuracy_threshold=None, resamples=40
    ).model_dump()
    assert {name: metrics(tmp_path).model_dump()["conditions"][name] for name in CONDITIONS} == expected["conditions"]
    record = json.loads((tmp_path / "run/record.json").read_text())
    assert record["engine"] == "scores from a file"
    assert record["manifest_digest"] == manifest.digest()
    (pictures,) = arrange(find_runs([tmp_path]))
    assert list(pictures.family("view")) == ["delivered", "alike"]


def test_probabilities_have_a_calibration_error_and_other_scores_have_not(
    tmp_path: Path, manifest: Manifest, predictions: pd.DataFrame
) -> None:
    delivered = predictions[predictions["condition"] == "delivered"]
    theirs = pd.DataFrame({"path": delivered["path"], "score": delivered["probability"]})
    theirs.loc[theirs.index[0], "score"] = 0.0
    theirs.loc[theirs.index[-1], "score"] = 1.0
    join(tmp_path, manifest, theirs)
    figures = metrics(tmp_path).conditions["delivered"].overall.figures
    assert figures["expected_calibration_error"].value is None
    (tmp_path / "run/record.json").unlink()
    join(tmp_path, manifest, theirs, are_probabilities=True)
    assert metrics(tmp_path).conditions["delivered"].overall.figures["expected_calibration_error"].value is not None
    assert metrics(tmp_path).conditions["delivered"].overall.figures["auroc"] == figures["auroc"]
    with pytest.raises(UsageError, match=r"row 1: expected a probability in \[0, 1\] as score, found '7"):
        join(tmp_path, manifest, theirs.assign(score=7.0), are_probabilities=True)


def test_missing_and_extra_rows_are_counted_and_listed(
    tmp_path: Path, manifest: Manifest, predictions: pd.DataFrame
) -> None:
    theirs = predictions[predictions["condition"] == "delivered"].rename(columns={"logit": "score"})[["path", "score"]]
    gone = theirs["path"].iloc[3]
    theirs = pd.concat([theirs.drop(theirs.index[3]), pd.DataFrame({"path": ["new.png"], "score": [1.0]})])
    joined = join(tmp_path, manifest, theirs)
    assert (joined.missing, joined.extra) == ((gone,), ("new.png",))
    assert "1 pictures have no score" in " ".join(joined.sentences())
    overall = metrics(tmp_path).conditions["delivered"].overall
    assert (overall.n_real + overall.n_fake, overall.n_failed) == (len(manifest) - 1, 1)
    assert pd.read_csv(tmp_path / "run/left_out.csv")["path"].tolist() == ["new.png"]


def test_absolute_paths_of_the_same_folder_are_joined(
    tmp_path: Path, manifest: Manifest, predictions: pd.DataFrame
) -> None:
    theirs = predictions[predictions["condition"] == "delivered"].rename(columns={"logit": "score"})[["path", "score"]]
    joined = join(tmp_path, manifest, theirs.assign(path=[str(manifest.root / path) for path in theirs["path"]]))
    assert (joined.missing, joined.extra) == ((), ())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: pd.concat([t, t.iloc[:1]]), "1 rows give a second score"),
        (lambda t: t.assign(path="elsewhere/" + t["path"]), "no row belongs to a picture; its path is such as 'else"),
        (lambda t: t.assign(score="high"), "row 1: expected a finite number as score, found 'high'"),
        (lambda t: t.assign(score=float("inf")), "row 1: expected a finite number"),
        (lambda t: t.rename(columns={"score": "logit"}), r"expected rows with path \(or sha256\) and score"),
    ],
)  # fmt: skip
def test_what_cannot_be_joined_is_refused(
    tmp_path: Path, manifest: Manifest, predictions: pd.DataFrame, change, words: str
) -> None:
    theirs = predictions[predictions["condition"] == "delivered"].rename(columns={"logit": "score"})[["path", "score"]]
    with pytest.raises(UsageError, match=words):
        join(tmp_path, manifest, change(theirs))


def test_another_run_is_not_overwritten(tmp_path: Path, manifest: Manifest, predictions: pd.DataFrame) -> None:
    theirs = predictions[predictions["condition"] == "delivered"].rename(columns={"logit": "score"})[["path", "score"]]
    join(tmp_path, manifest, theirs)
    join(tmp_path, manifest, theirs)
    with pytest.raises(ManifestError, match="holds another run \\(other scores\\)"):
        join(tmp_path, manifest, theirs.assign(score=theirs["score"] + 1))


def test_a_threshold_gives_balanced_accuracy(tmp_path: Path, manifest: Manifest, predictions: pd.DataFrame) -> None:
    theirs = predictions[predictions["condition"] == "delivered"].rename(columns={"logit": "score"})[["path", "score"]]
    join(tmp_path, manifest, theirs, threshold=0.5)
    label = predictions[predictions["condition"] == "delivered"]["label"]
    expected = binary.balanced_accuracy(theirs["score"], label, 0.5)
    found = metrics(tmp_path).conditions["delivered"].overall.figures["balanced_accuracy_at_threshold"].value
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,score\na.jpg,0.5,more\n", "more cells than the header"),
        ("sha256,score\n,0.5\n", "row 1 has no sha256"),
    ],
)
def test_a_broken_table_is_told(tmp_path: Path, manifest: Manifest, text: str, words: str) -> None:
    (tmp_path / "broken.csv").write_text(text)
    with pytest.raises(UsageError, match=words):
        run_from_scores(tmp_path / "broken.csv", manifest, tmp_path / "out", data="x", split=None)
