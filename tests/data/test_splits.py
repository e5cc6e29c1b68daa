from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tristream.data.manifest import Manifest
from tristream.data.splits import (
    assign_splits,
    check_splits,
    parse_fractions,
    parse_held_out,
    split_digest,
    split_sizes,
)
from tristream.errors import ManifestError, UsageError

FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}


def _manifest(groups: list[str], **columns: list[Any]) -> Manifest:
    """A manifest without files: splitting looks at the table alone."""
    count = len(groups)
    zeros, blanks = [0] * count, [""] * count
    columns = {"label": zeros, "generator": blanks, "source": blanks, "split": blanks, **columns}
    hashes = columns.pop("sha256", [f"{row:064x}" for row in range(count)])
    table = pd.DataFrame({"path": [f"{row}.png" for row in range(count)], **columns, "group": groups, "sha256": hashes})
    return Manifest(table.assign(media="image"), Path("nowhere"))


def _split_of_group(manifest: Manifest) -> dict[str, str]:
    pairs = manifest.table[["group", "split"]].drop_duplicates()
    assert pairs["group"].is_unique
    return dict(pairs.itertuples(index=False))


names = st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=30)


@settings(max_examples=50, deadline=None)
@given(names, names, st.randoms())
def test_neither_more_files_nor_their_order_move_a_group(groups: list[str], more: list[str], random: Any) -> None:
    first = _split_of_group(assign_splits(_manifest(groups), FRACTIONS))
    mixed = [*groups, *more, *groups]
    random.shuffle(mixed)
    assert _split_of_group(assign_splits(_manifest(mixed), FRACTIONS)).items() >= first.items()


def test_the_rule_is_the_same_on_every_machine() -> None:
    # printf 'tristream\0%s' GROUP | sha256sum, the first digits: 0 ba31, 1 5c1c, 3 8430, 6 dab9, 7 2e45, 9 d8fa
    done = assign_splits(_manifest(["0", "1", "3", "6", "7", "9"]), {"train": 0.5, "validation": 0.25, "test": 0.25})
    assert done.table["split"].tolist() == ["validation", "train", "validation", "test", "train", "test"]


def test_sizes_follow_the_fractions() -> None:
    splits = assign_splits(_manifest([str(number) for number in range(5000)]), FRACTIONS).table["split"].value_counts()
    assert splits["train"] == pytest.approx(4000, abs=120)  # 4 standard deviations: 4 x sqrt(5000 x 0.8 x 0.2)
    assert splits["test"] == pytest.approx(500, abs=85)


def test_another_salt_is_another_split() -> None:
    manifest = _manifest([str(number) for number in range(50)])
    assert split_digest(assign_splits(manifest, FRACTIONS)) != split_digest(assign_splits(manifest, FRACTIONS, "other"))


def test_held_out_generators_and_sources_take_their_groups_along() -> None:
    groups = ["a", "a", "b", "c", "d"]
    manifest = _manifest(
        groups,
        label=[1, 0, 1, 0, 0],
        generator=["gigagan", "", "flux", "", ""],
        source=["g1", "ffhq", "f1", "photo-x", "ffhq"],
    )
    done = assign_splits(manifest, {"train": 1.0}, held_out={"reserved": ["gigagan", "photo-x"]})
    assert done.table["split"].tolist() == ["reserved", "reserved", "train", "reserved", "train"]
    check_splits(done)


def test_one_group_cannot_be_held_out_twice() -> None:
    manifest = _manifest(["a", "a"], label=[1, 0], generator=["gigagan", ""], source=["g", "ffhq"])
    with pytest.raises(ManifestError, match="group 'a' is held out in x and in y"):
        assign_splits(manifest, {"train": 1.0}, held_out={"x": ["gigagan"], "y": ["ffhq"]})


def test_unknown_names_to_hold_out_list_those_there_are() -> None:
    with pytest.raises(UsageError, match="'gigagam' to hold out; there are: ffhq"):
        assign_splits(_manifest(["a"], source=["ffhq"]), {"train": 1.0}, held_out={"x": ["gigagam"]})


def test_splits_that_are_there_are_not_replaced_unasked() -> None:
    manifest = _manifest(["a", "b"], split=["train", ""])
    with pytest.raises(UsageError, match="has splits already"):
        assign_splits(manifest, FRACTIONS)
    assert set(assign_splits(manifest, {"test": 1.0}, replace=True).table["split"]) == {"test"}


@pytest.mark.parametrize(
    "fractions", [{}, {"train": 0.8}, {"train": 1.2, "test": -0.2}, {"": 1.0}, {"train": float("nan")}]
)
def test_fractions_are_shares_that_add_up(fractions: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="expected"):
        assign_splits(_manifest(["a"]), fractions)


def test_a_group_in_two_splits_is_found() -> None:
    check_splits(_manifest(["a", "a", "b"], split=["train", "train", "test"]))
    check_splits(_manifest(["a", "a"], split=["train", ""]))
    with pytest.raises(ManifestError, match=r"1 groups straddle splits.*\n  a: test, train"):
        check_splits(_manifest(["a", "a", "b"], split=["train", "test", "test"]))


def test_an_exact_copy_in_another_split_is_found() -> None:
    same = ["f" * 64, "f" * 64]
    check_splits(_manifest(["a", "b"], split=["train", "train"], sha256=same))
    with pytest.raises(ManifestError, match=rf"byte for byte.*\n  {'f' * 64}: test, train"):
        check_splits(_manifest(["a", "b"], split=["train", "test"], sha256=same))


def test_sizes_name_empty_splits_too() -> None:
    manifest = _manifest(
        ["a", "a"], label=[0, 1], generator=["", "flux"], source=["ffhq", "f"], split=["train", "train"]
    )
    train, test = split_sizes(manifest, ["train", "test"])
    assert (train.split, train.real, train.fake, train.groups, train.sources, train.generators) == (
        "train",
        1,
        1,
        1,
        1,
        1,
    )
    assert (test.split, test.real, test.fake, test.groups) == ("test", 0, 0, 0)
    assert str(test) == "test: 0 real of 0 sources, 0 fake of 0 generators, 0 groups"


def test_arguments_of_the_command_line_are_parsed() -> None:
    assert parse_fractions("train=0.8, test=.2") == {"train": 0.8, "test": 0.2}
    assert parse_held_out(["r=a, b", "s=c", "r=d"]) == {"r": ["a", "b", "d"], "s": ["c"]}
    for wrong in ("train", "train=much", "a=0.5,a=0.5"):
        with pytest.raises(UsageError, match=r"train|twice"):
            parse_fractions(wrong)
    for wrong in ("gigagan", "=a", "r=", "r=,"):
        with pytest.raises(UsageError, match="expected a split and what it holds"):
            parse_held_out([wrong])


def test_the_splits_of_the_corpus_keep_groups_together(shared_data: Path) -> None:
    corpus = Manifest.read(shared_data / "corpus" / "index.csv")
    sizes = {size.split: size.real + size.fake for size in split_sizes(corpus)}
    assert sizes == {"train": 6145, "validation": 639, "test": 884, "reserved": 703}
    check_splits(corpus)
