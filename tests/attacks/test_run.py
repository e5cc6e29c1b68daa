"""A whole run on a linear detector whose best attacks are known: figures, checks that can fail, resume, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.attacks.planted import PATTERN, SIZE, THRESHOLD, Linear, planted_opened, planted_pictures
from tests.conftest import BrightnessSession
from tests.planted import planted_metadata
from tristream.attacks import run as attack_run
from tristream.attacks.budget import Attack, Budget, CarliniWagner, FastGradientSign, ProjectedGradientDescent, attacks
from tristream.attacks.run import attack
from tristream.errors import ManifestError, UsageError
from tristream.evaluation.checkpoint import Opened, PictureSet
from tristream.evaluation.summary import Summary
from tristream.images.decode import decode
from tristream.runtime.engines import OpenDetector
from tristream.runtime.torch_session import TorchSession

SMALL = Budget(pictures=24, cw_pictures=12, cw_search_steps=3, cw_iterations=15)


def success(summary: Summary, condition: str) -> tuple[float | None, float | None]:
    """Of hiding fakes and of accusing reals."""
    directions = summary.conditions[condition].attack.directions
    return directions["hide"].figures["success_rate"].value, directions["accuse"].figures["success_rate"].value


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    """A run of all attacks on 24 pictures, two of them with three crops."""
    folder = tmp_path_factory.mktemp("attack")
    data = planted_pictures(folder, long=2)
    opened = planted_opened(folder / "planted.safetensors")
    summary, checks = attack(
        opened, PictureSet(data, "test", 24), folder / "out", attacks((), SMALL), resamples=50, command="test"
    )
    assert [check.words for check in checks if not check.passed] == []
    return folder, summary


def test_success_grows_with_epsilon_as_the_linear_detector_demands(finished: tuple[Path, Summary]) -> None:
    _, summary = finished
    assert success(summary, "fgsm-1") == (0, 0), "every picture lies some 3 grey levels from the threshold"
    assert success(summary, "fgsm-8") == success(summary, "pgd-8") == success(summary, "pgd-128") == (1, 1)
    assert summary.conditions["fgsm-8"].attack.directions["hide"].figures["robust_accuracy"].value == 0
    assert summary.conditions["delivered"].overall.figures["auroc"].value == 1
    assert summary.conditions["fgsm-8"].attack.directions["hide"].figures["auroc"].value < 0.05
    assert summary.conditions["fgsm-8"].overall.figures["balanced_accuracy_at_threshold"].value == 0


def test_noise_of_equal_norm_is_weaker(finished: tuple[Path, Summary]) -> None:
    folder, summary = finished
    assert success(summary, "fgsm-8-shuffled") == success(summary, "pgd-8-shuffled") == (0, 0)
    table = pd.read_parquet(folder / "out/predictions.parquet").set_index(["condition", "id"])
    for norm in ("perturbation_l2", "perturbation_linf"):
        pd.testing.assert_series_equal(table.loc["fgsm-8", norm], table.loc["fgsm-8-shuffled", norm])


def test_budgets_hold_on_the_pixels_that_were_scored(finished: tuple[Path, Summary]) -> None:
    """Norms and logits by hand, from the pictures on disk and FGSM's closed form."""
    folder, _ = finished
    manifest = PictureSet(folder / "manifest.csv", "test").read()
    table = pd.read_parquet(folder / "out/predictions.parquet").set_index(["condition", "path"])
    for row in (0, 1, 2, 3):
        pixels, label = decode(manifest.file(row)).pixels, manifest.table["label"].iloc[row]
        crops = [pixels[:, left : left + SIZE] for left in sorted({0, (pixels.shape[1] - SIZE) // 2,
                                                                   pixels.shape[1] - SIZE})]  # fmt: skip
        before = np.stack([crop.transpose(2, 0, 1).astype(int) for crop in crops])
        after = np.clip(before + (1 if label == 0 else -1) * 4 * PATTERN.astype(int), 0, 255)
        found = table.loc[("fgsm-4", f"{row}.png")]
        assert len(before) == (3 if row < 2 else 1)
        assert found["logit"] == pytest.approx(((after - 128) * PATTERN).mean((1, 2, 3)).mean(), abs=1e-3)
        assert found["perturbation_l2"] == pytest.approx(np.linalg.norm((after - before).ravel()) / 255, rel=1e-5)
        assert found["perturbation_linf"] == pytest.approx(4 / 255, rel=1e-5)


def test_the_record_is_that_of_an_evaluation_and_holds_budget_and_checks(finished: tuple[Path, Summary]) -> None:
    folder, summary = finished
    record = json.loads((folder / "out/record.json").read_text())
    assert record["attacks"]["threshold_logit"] == THRESHOLD
    assert record["attacks"]["library"].startswith("adversarial-robustness-toolbox 1.")
    assert record["conditions"]["cw"]["parameters"] == {
        "method": "Carlini-Wagner L2", "search_steps": 3, "iterations": 15, "confidence": 0.0, "initial_weight": 0.1,
        "pictures": 12, "then": "8 bits",
    }  # fmt: skip
    assert (summary.conditions["cw"].overall.n_real, summary.conditions["cw"].overall.n_fake) == (6, 6)
    checks = json.loads((folder / "out/checks.json").read_text())
    assert len(checks) == 8 + 4 + 7 + 1, "noise, growing epsilon and FGSM against PGD, budgets, near-unbounded"
    assert not (folder / "out/crafted").exists()
    assert (folder / "out/DONE").is_file()


def test_a_finished_run_is_read(finished: tuple[Path, Summary]) -> None:
    folder, summary = finished
    detector = Linear()
    again, checks = attack(
        planted_opened(folder / "planted.safetensors", detector), PictureSet(folder / "manifest.csv", "test", 24),
        folder / "out", attacks((), SMALL), resamples=50,
    )  # fmt: skip
    assert again == summary
    assert len(checks) == 20
    assert detector.passes == 0


class Killed(Linear):
    """Works until its passes are used up."""

    def __init__(self, passes: int) -> None:
        super().__init__()
        self.left = passes

    def forward(self, pixels, stream_mask=None):  # type: ignore[no-untyped-def]
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().forward(pixels)


def test_a_killed_run_goes_on_and_equals_one_that_was_not(tmp_path: Path) -> None:
    data = PictureSet(planted_pictures(tmp_path, 12), "test", 12)
    chosen = attacks(["fgsm", "pgd"], Budget(12, 12, 1, 1))

    def run(out: str, detector: Linear) -> pd.DataFrame:
        opened = planted_opened(tmp_path / "planted.safetensors", detector)
        attack(opened, data, tmp_path / out, chosen, resamples=20, batch_size=4)
        return pd.read_parquet(tmp_path / out / "predictions.parquet")

    whole = run("whole", counting := Linear())
    with pytest.raises(KeyboardInterrupt):
        run("killed", Killed(counting.passes // 2))
    assert len(list((tmp_path / "killed/crafted").rglob("*.npy"))) >= 4
    pd.testing.assert_frame_equal(run("killed", resumed := Linear()), whole)
    assert resumed.passes < 0.8 * counting.passes, "what was crafted is not crafted again"
    with pytest.raises(ManifestError, match="holds another run"):
        attack(planted_opened(tmp_path / "planted.safetensors"), data, tmp_path / "whole", chosen[:1], seed=1)
    assert not (tmp_path / "whole/crafted").exists(), "another run's folder is left alone"


def test_random_starts_follow_from_the_seed(tmp_path: Path) -> None:
    data = PictureSet(planted_pictures(tmp_path, 4), "test")
    logits = []
    for place, seed in (("a", 0), ("b", 0), ("c", 1)):
        opened = planted_opened(tmp_path / "planted.safetensors")
        attack(opened, data, tmp_path / place, [ProjectedGradientDescent(8, 4, steps=1)], seed=seed, resamples=10)
        table = pd.read_parquet(tmp_path / place / "predictions.parquet")
        logits.append(table["logit"][table["condition"] == "pgd-8"].tolist())
    assert logits[0] == logits[1] != logits[2]


def test_a_picture_that_cannot_be_read_counts_nowhere(tmp_path: Path) -> None:
    data = planted_pictures(tmp_path, 12)
    (tmp_path / "3.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    opened = planted_opened(tmp_path / "planted.safetensors")
    summary, _ = attack(opened, PictureSet(data, "test"), tmp_path / "out", [FastGradientSign(8, 12)], resamples=20)
    direction = summary.conditions["fgsm-8"].attack.directions["hide"]
    assert (direction.n_real, direction.n_fake, direction.n_right) == (6, 5, 5)
    assert summary.conditions["fgsm-8"].overall.n_failed == 1


@pytest.mark.parametrize(
    ("fault", "kind", "expected"),
    [
        ("nothing", "pgd", "near-unbounded, succeeds on 0%"),
        ("nothing", "fgsm", "fgsm-8 is stronger than noise"),
        ("nothing", "cw", "cw-unrounded is stronger than noise"),
        ("too far", "pgd", "pgd-8 changes no pixel by more than 8"),
    ],
)
def test_checks_notice_an_attack_that_does_nothing_or_goes_too_far(
    fault: str, kind: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crafted = attack_run.Crafter.craft

    def faulty(self, attack: Attack, pictures, contexts):  # type: ignore[no-untyped-def]
        if fault == "nothing":
            return list(pictures)
        return [np.clip(c + 1 / 255, 0, 1) for c in crafted(self, attack, pictures, contexts)]

    monkeypatch.setattr(attack_run.Crafter, "craft", faulty)
    data = PictureSet(planted_pictures(tmp_path, 12), "test", 12)
    opened = planted_opened(tmp_path / "planted.safetensors")
    _, checks = attack(opened, data, tmp_path / "out", attacks([kind], Budget(12, 12, 1, 1)), resamples=20)
    assert expected in " ".join(check.words for check in checks if not check.passed)


def test_what_cannot_be_attacked_is_told(tmp_path: Path) -> None:
    data = planted_pictures(tmp_path, 4)
    opened = planted_opened(tmp_path / "planted.safetensors")
    metadata, chosen, out = opened.detector.metadata, [CarliniWagner(4, 1, 1)], tmp_path / "out"
    light = Opened(tmp_path / "x.onnx", OpenDetector(BrightnessSession(), metadata, "light"), "32")
    with pytest.raises(UsageError, match=r"no gradients to attack by; name a \.safetensors checkpoint"):
        attack(light, PictureSet(data), out, chosen)
    bare = Opened(opened.path, OpenDetector(TorchSession(Linear()), planted_metadata("bare"), "planted"), "32")
    with pytest.raises(UsageError, match="no stored threshold to cross; run `tristream calibrate` on it first"):
        attack(bare, PictureSet(data), out, chosen)
    with pytest.raises(ManifestError, match="cw: expected real and fake pictures, got 2 of one class"):
        attack(opened, PictureSet(data, only={"path": ("0.png", "2.png")}), out, chosen)
    (tmp_path / "2.png").write_bytes((tmp_path / "0.png").read_bytes())
    with pytest.raises(UsageError, match=r"2\.png stands there twice"):
        attack(opened, PictureSet(data), out, chosen)
    assert not out.exists()


def test_rounding_decides_what_carlini_wagner_is_worth(finished: tuple[Path, Summary]) -> None:
    """The least perturbation is some 3 grey levels at every pixel, of which rounding takes up to a half."""
    folder, summary = finished
    table = pd.read_parquet(folder / "out/predictions.parquet").set_index(["condition", "path"]).loc["cw"]
    moved = table["perturbation_linf"] * 255
    np.testing.assert_allclose(moved, np.rint(moved), atol=1e-4)
    beyond = (table["logit"] - THRESHOLD) * np.where(table["label"] == 1, -1, 1)
    assert beyond.abs().max() < 1, "it ends near the threshold"
    assert success(summary, "cw") == pytest.approx([(beyond[table["label"] == label] > 0).mean() for label in (1, 0)])
    assert success(summary, "cw-unrounded") == (1, 1)
    assert sum(success(summary, "cw")) < 2
