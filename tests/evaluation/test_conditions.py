"""The registry of conditions: severity 0 is none, names and descriptions tell conditions apart, draws are fixed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.images.test_perturb import photo
from tristream.data.manifest import Manifest
from tristream.errors import ConfigError, UsageError
from tristream.evaluation.conditions import (
    CONDITIONS,
    FAMILIES,
    PictureContext,
    contexts_of,
    masked,
    perturbations,
    rehearse,
    subsets,
)

CONTEXT = PictureContext("ab" * 32, 1)
PERTURBATIONS = [c.name for c in perturbations()[1:]]
SIZES = ((1, 1), (2, 3), (33, 47), (9, 300))


@pytest.mark.parametrize("name", list(FAMILIES))
def test_severity_0_is_bit_identical_to_none(name: str) -> None:
    pixels = photo()
    none = FAMILIES[name].at(0)
    assert (none.family, none.severity) == (name, 0)
    assert np.array_equal(none.apply(pixels, CONTEXT), pixels)
    with pytest.raises(UsageError, match=f"{name} has 0 to"):
        FAMILIES[name].at(99)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_every_perturbation_works_on_any_size_and_changes_a_picture(name: str) -> None:
    condition = CONDITIONS[name]
    for height, width in SIZES:
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
        before = pixels.copy()
        treated = condition.apply(pixels, CONTEXT)
        assert treated.dtype == np.uint8
        assert treated.ndim == 3 and treated.shape[2] == 3 and treated.size  # noqa: PT018
        assert np.array_equal(pixels, before), "the input is not written to"
    treated = condition.apply(photo(), CONTEXT)
    assert treated.shape != photo().shape or not np.array_equal(treated, photo())
    assert np.array_equal(treated, condition.apply(photo(), CONTEXT)), "the same every time"


def test_reals_and_fakes_are_perturbed_alike() -> None:
    for name in [*PERTURBATIONS, "alike"]:
        real, fake = (CONDITIONS[name].apply(photo(), PictureContext("cd" * 32, label)) for label in (0, 1))
        assert np.array_equal(real, fake), name


def test_severities_rise_and_are_printed() -> None:
    for family in FAMILIES:
        conditions = FAMILIES[family].conditions
        assert [c.severity for c in conditions] == list(range(1, len(conditions) + 1))
        for condition in conditions:
            assert condition.name.startswith(f"{family}-")
            assert condition.parameters
            assert all(str(value) in condition.description for value in condition.parameters.values())
    assert {"jpeg-70", "webp-50", "double_jpeg-75", "resize-0.5", "enlarge-2", "blur-2", "noise-10", "crop-0.6",
            "screenshot-0.7", "social-2", "h264-23", "h264-40", "h264-50"} <= set(CONDITIONS)  # fmt: skip
    descriptions = [CONDITIONS[name].description for name in CONDITIONS]
    assert len(set(descriptions)) == len(descriptions)


def test_what_is_drawn_depends_on_the_picture_the_condition_and_the_seed() -> None:
    noise = CONDITIONS["noise-10"]
    first = noise.apply(photo(), PictureContext("ab", 0))
    assert not np.array_equal(first, noise.apply(photo(), PictureContext("cd", 0)))
    assert not np.array_equal(first, noise.apply(photo(), PictureContext("ab", 0, seed=1)))
    ours, theirs = (PictureContext("ab", 0).rng(purpose).random() for purpose in ("noise-10", "noise-5"))
    assert ours != theirs


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Two reals, JPEG of quality 30 and 45 x 60 px, and a fake, a PNG of 64 px."""
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(np.resize(photo(1), (45, 60, 3))).save(tmp_path / name, quality=30)
    Image.fromarray(photo()).save(tmp_path / "fake.png")
    (tmp_path / "index.csv").write_text("path,label\na.jpg,0\nb.jpg,0\nfake.png,1\n")
    return Manifest.read(tmp_path / "index.csv").with_file_columns(["sha256"])


def test_fakes_are_encoded_like_a_real_of_the_set_and_reals_are_left_alone(manifest: Manifest) -> None:
    real, _, fake = contexts_of(manifest)
    condition = CONDITIONS["fakes_like_reals"]
    assert "diagnosis" in condition.description
    assert condition.apply(photo(), real) is not None
    assert np.array_equal(condition.apply(photo(), real), photo())
    treated = condition.apply(photo(), fake)
    assert treated.shape == (45, 45, 3)
    from tristream.images import perturb

    assert np.array_equal(treated, perturb.jpeg(perturb.rescale(photo(), 45 / 64), 30))
    with pytest.raises(UsageError, match="needs real pictures"):
        condition.apply(photo(), CONTEXT)


def test_which_real_a_fake_is_encoded_like_does_not_depend_on_the_order_of_the_rows(tmp_path: Path) -> None:
    for side in range(33, 63, 2):
        Image.fromarray(np.resize(photo(side), (side, side, 3))).save(tmp_path / f"{side}.jpg")
    Image.fromarray(photo()).save(tmp_path / "fake.png")
    rows = ["fake.png,1", *(f"{side}.jpg,0" for side in range(33, 63, 2))]
    shapes = []
    for order in (rows, rows[::-1]):
        (tmp_path / "index.csv").write_text("\n".join(["path,label", *order, ""]))
        manifest = Manifest.read(tmp_path / "index.csv").with_file_columns(["sha256"])
        (fake,) = (context for context in contexts_of(manifest) if context.label)
        shapes.append(CONDITIONS["fakes_like_reals"].apply(photo(), fake).shape)
    assert shapes[0] == shapes[1]


def test_subsets_of_the_streams_are_conditions() -> None:
    assert [len(s) for s in subsets(("a", "b", "c"))] == [1, 1, 1, 2, 2, 2, 3]
    condition = CONDITIONS["masked-spatial+semantic"]
    assert condition.streams == ("spatial", "semantic")
    assert np.array_equal(condition.apply(photo(), CONTEXT), photo())
    assert masked(("mine",)).name == "masked-mine"
    assert sum(name.startswith("masked-") for name in CONDITIONS) == 7


def test_families_are_chosen_by_name_and_delivered_comes_first() -> None:
    assert [c.name for c in perturbations(["webp"])] == ["delivered", "webp-80", "webp-50", "webp-20"]
    assert len(perturbations()) == 1 + sum(len(FAMILIES[name].levels) for name in FAMILIES)
    with pytest.raises(ConfigError, match="unknown family of perturbations 'rain'; there are: jpeg"):
        perturbations(["rain"])


def test_the_rehearsal_finds_a_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    rehearse(CONDITIONS[name] for name in CONDITIONS)
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(Exception, match=r"tristream\[video\]"):
        rehearse([CONDITIONS["jpeg-70"], CONDITIONS["h264-23"]])


def test_records_hold_what_a_report_needs() -> None:
    assert CONDITIONS["resize-0.5"].record().model_dump(mode="json") == {
        "description": "shrunk to 0.5 of both sides, bicubic", "family": "resize", "severity": 2.0,
        "parameters": {"factor": 0.5}, "streams": None,
    }  # fmt: skip
    assert CONDITIONS["masked-spatial"].record().model_dump(mode="json")["streams"] == ["spatial"]
