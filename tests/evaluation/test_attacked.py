"""What an attack achieves, on planted scores; and the runner's part: crops are changed, pictures are left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.conftest import BrightnessSession
from tests.planted import planted_identity
from tristream.data.manifest import Manifest
from tristream.evaluation.conditions import CONDITIONS, Condition, PictureContext
from tristream.evaluation.runner import Fitted, evaluate, score_manifest
from tristream.evaluation.summary import Summary, summarise
from tristream.images.preprocess import Preprocessing
from tristream.metrics import binary
from tristream.typing import Float32

SMALL_CROPS = Preprocessing(short_side=32, crop=32)
SIDE = 40
"""Pictures of each class, two a group."""


def planted(moved: float = 3.0, norm: float = 1.0) -> pd.DataFrame:
    """Reals around -1 and fakes around 1, and the same moved so far to the other side."""
    rng = np.random.default_rng(0)
    label_N = np.repeat([0, 1], SIDE)
    before_N = rng.normal(2 * label_N - 1, 1)
    norm_N = norm * rng.uniform(0.5, 1.5, label_N.size)
    tables = []
    for condition, logit_N in (("delivered", before_N), ("fgsm-1", before_N - moved * (2 * label_N - 1))):
        table = pd.DataFrame(
            {
                "id": [f"{i}" for i in range(label_N.size)],
                "label": label_N,
                "generator": "",
                "source": "",
                "group": [f"{i // 2}" for i in range(label_N.size)],
                "condition": condition,
                "logit": logit_N,
                "probability": np.nan,
                "error": "",
            }
        )
        if condition == "fgsm-1":
            table["perturbation_l2"], table["perturbation_linf"] = norm_N, norm_N / 10
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def summary_of(table: pd.DataFrame, threshold: float | None = 0.25) -> Summary:
    return summarise(table, balanced_accuracy_threshold=threshold, attacks=["fgsm-1"], resamples=100)


def test_each_direction_is_counted_by_itself_on_pictures_that_were_right_before() -> None:
    table = planted()
    attack = summary_of(table).conditions["fgsm-1"].attack
    before, after = (table[table["condition"] == name].reset_index(drop=True) for name in ("delivered", "fgsm-1"))
    label = before["label"]
    for name, side in (("hide", 1), ("accuse", 0)):
        direction, of_side = attack.directions[name], label == side
        right = of_side & ((before["logit"] >= 0.25) == (label == 1))
        fell = right & ((after["logit"] >= 0.25) != (label == 1))
        assert (direction.n_real, direction.n_fake, direction.n_right) == (SIDE, SIDE, int(right.sum()))
        assert 0 < direction.n_right < SIDE
        figures = direction.figures
        assert figures["success_rate"].value == pytest.approx(fell.sum() / right.sum())
        assert figures["success_rate"].low < figures["success_rate"].value <= figures["success_rate"].high
        assert figures["median_l2"].value == pytest.approx(after["perturbation_l2"][fell].median())
        assert figures["median_l2"].low < figures["median_l2"].value < figures["median_l2"].high
        robust = ((after["logit"] >= 0.25) == (label == 1))[of_side].mean()
        assert figures["robust_accuracy"].value == pytest.approx(robust)
        mixed = after["logit"].where(of_side, before["logit"])
        assert figures["auroc"].value == pytest.approx(binary.auroc(mixed, label)), "the other class is untouched"
    assert attack.largest_l2 == after["perturbation_l2"].max()
    assert attack.largest_linf == after["perturbation_linf"].max()
    assert summary_of(table).conditions["delivered"].attack is None


def test_pictures_that_were_not_attacked_or_failed_count_nowhere() -> None:
    table = planted()
    attacked = table["condition"] == "fgsm-1"
    kept = table[~attacked | (table["id"].astype(int) % 4 != 0)].copy()
    failed = (kept["condition"] == "fgsm-1") & (kept["id"] == "1")
    kept.loc[failed, ["logit", "error"]] = [np.nan, "broken"]
    direction = summary_of(kept).conditions["fgsm-1"].attack.directions["accuse"]
    assert (direction.n_real, direction.n_fake) == (SIDE * 3 // 4 - 1, SIDE * 3 // 4)


def test_what_is_undefined_has_a_reason_and_no_number() -> None:
    def figures(table: pd.DataFrame, threshold: float | None = 0.25) -> dict[str, str | None]:
        found = summary_of(table, threshold).conditions["fgsm-1"].attack.directions["hide"].figures
        assert all(found[name].value is None for name in ("success_rate", "median_l2"))
        return {name: figure.reason for name, figure in found.items()}

    assert figures(planted(), None)["success_rate"] == "no threshold was fitted"
    assert figures(planted(), 99.0)["success_rate"] == "no picture was called right before"
    nothing = summary_of(planted(moved=0)).conditions["fgsm-1"].attack.directions["hide"].figures
    assert (nothing["success_rate"].value, nothing["median_l2"].reason) == (0, "no attack succeeded")
    assert nothing["success_rate"].high > 0, "none of so many groups is not never"


def test_a_picture_that_stands_twice_has_no_pair() -> None:
    table = planted()
    assert summary_of(pd.concat([table, table[:1]])).conditions["fgsm-1"].attack is None


def brighter(crops: Float32, context: PictureContext) -> Float32:
    return np.clip(crops + (0.1 if context.label == 0 else -0.1), 0, 1).astype(np.float32)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    rows = []
    for index in range(12):
        Image.new("RGB", (40, 40), (100 + index + 40 * (index % 2),) * 3).save(tmp_path / f"{index}.png")
        rows.append({"path": f"{index}.png", "label": index % 2, "source": "drawn", "split": "test"})
    return Manifest.from_table(pd.DataFrame(rows), tmp_path).with_file_columns(["sha256"])


def test_a_condition_may_change_the_crops_and_the_norms_are_recorded(manifest: Manifest) -> None:
    condition = Condition("brighter", "brighter", lambda pixels, _: pixels, on_crops=brighter)
    before, after = (
        score_manifest(BrightnessSession(), SMALL_CROPS, manifest, c) for c in (CONDITIONS["delivered"], condition)
    )
    moved = (after["logit"] - before["logit"]).to_numpy()
    np.testing.assert_allclose(moved, np.where(before["label"] == 0, 2, -2), atol=1e-3)
    np.testing.assert_allclose(after["perturbation_linf"], 0.1, rtol=1e-4)
    np.testing.assert_allclose(after["perturbation_l2"], 0.1 * np.sqrt(3 * 32 * 32), rtol=1e-4)
    assert "perturbation_l2" not in before


def test_only_the_pictures_of_a_condition_are_scored_and_progress_reaches_its_end(
    manifest: Manifest, tmp_path: Path
) -> None:
    few = frozenset(manifest.table["sha256"][:4])
    condition = Condition("brighter", "brighter", lambda pixels, _: pixels, "attack", on_crops=brighter, ids=few)
    done: list[tuple[int, int]] = []
    prepared: list[bool] = []

    def run() -> Summary:
        return evaluate(
            BrightnessSession(), SMALL_CROPS, Fitted(), manifest, tmp_path / "out", planted_identity(), resamples=10,
            conditions=["delivered", condition], progress=lambda *state: done.append(state),
            prepare=lambda: prepared.append((tmp_path / "out/record.json").is_file()),
        )  # fmt: skip

    summary = run()
    assert done[-1] == (16, 16)
    assert (summary.conditions["brighter"].overall.n_real, summary.conditions["brighter"].overall.n_fake) == (2, 2)
    assert summary.conditions["brighter"].attack.directions["hide"].n_fake == 2
    assert run() == summary
    assert prepared == [True], "once the folder is claimed, and not again when it is finished"
