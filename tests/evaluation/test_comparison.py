"""Two detectors on the same pictures, from tables and from run folders; the shortcut gap; shares of streams."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.evaluation.test_summary import SHIFT, VERDICTS, assert_interval, summary_of, synthetic
from tests.report.planted import plant_run
from tristream.errors import UsageError
from tristream.evaluation.comparison import MEASURES, RunComparison, compare, compare_runs
from tristream.evaluation.figures import Figure, Stored
from tristream.evaluation.summary import summarise
from tristream.metrics import binary
from tristream.metrics.comparison import delong, holm


def test_compare_finds_the_better_detector_whatever_the_order_of_rows() -> None:
    a = synthetic(conditions=("clean", "JPEG 50"))
    b = a.copy()
    b["logit"] += np.random.default_rng(1).normal(0, 2, len(b))
    comparison = compare(a, b.sample(frac=1, random_state=0), resamples=200)
    clean = comparison.conditions["clean"]
    assert clean.figures["auroc"].a.value == summary_of(a).conditions["clean"].overall.figures["auroc"].value
    assert clean.figures["auroc"].b.value == summary_of(b).conditions["clean"].overall.figures["auroc"].value
    assert_interval(clean.difference)
    assert clean.difference.low is not None
    assert clean.difference.low > 0
    assert clean.p_value == pytest.approx(2 / 201)
    assert (clean.n_real, clean.n_fake, clean.n_failed) == (120, 200, 0)
    assert type(comparison).model_validate_json(comparison.model_dump_json()) == comparison


def test_compare_uses_the_pictures_that_both_have_scored() -> None:
    a, b = synthetic(), synthetic(seed=1)
    for table, failed in ((a, ["gan-0", "film-0"]), (b, ["gan-0", "swap-5"])):
        table.loc[table.id.isin(failed), "logit"] = np.nan
        table.loc[table.id.isin(failed), "error"] = "truncated"
    clean = compare(a, b, resamples=50).conditions["clean"]
    assert (clean.n_real, clean.n_fake, clean.n_failed) == (119, 198, 3)


def test_compare_refuses_different_pictures_labels_and_conditions() -> None:
    a = synthetic()
    with pytest.raises(UsageError, match="1 pictures are in one table only, such as phone-0"):
        compare(a, a[a.id != "phone-0"])
    with pytest.raises(UsageError, match="gan-3 has other copies or labels"):
        compare(a, a.assign(label=a.label.where(a.id != "gan-3", 0)))
    with pytest.raises(UsageError, match="JPEG 50"):
        compare(a, synthetic(conditions=("clean", "JPEG 50")))
    with pytest.raises(UsageError, match="1 copies of pictures are in one table only"):
        compare(a, pd.concat([a, a[a.id == "gan-1"]]))


def test_copies_of_a_picture_are_paired_one_by_one() -> None:
    a, b = ([table, table[table.id == "gan-1"]] for table in (synthetic(), synthetic(seed=1)))
    plain = compare(pd.concat(a), pd.concat(b), resamples=50).conditions["clean"]
    assert (plain.n_real, plain.n_fake) == (120, 201)
    turned = compare(pd.concat(a), pd.concat(b[::-1]), resamples=50).conditions["clean"]
    assert turned.difference.value == plain.difference.value


def test_compare_of_one_class_is_null_with_the_reason() -> None:
    a = synthetic()
    clean = compare(a[a.label == 1], a[a.label == 1], resamples=50).conditions["clean"]
    assert clean.difference == Figure(reason="no real pictures")
    assert clean.p_value is None


def test_measures_at_thresholds_use_those_of_each_detector() -> None:
    a, b = synthetic(), synthetic(seed=1)
    found = compare(a, b, measures=MEASURES, stored=(Stored(0.25), Stored(1.0)), resamples=50).conditions["clean"]
    at_threshold = found.figures["balanced_accuracy_at_threshold"]
    assert at_threshold.a.value == pytest.approx(binary.balanced_accuracy(a.logit, a.label, 0.25))
    assert at_threshold.b.value == pytest.approx(binary.balanced_accuracy(b.logit, b.label, 1.0))
    assert at_threshold.difference.value == pytest.approx(at_threshold.a.value - at_threshold.b.value)
    assert found.figures["balanced_accuracy_at_half"].p_value is not None
    rare = found.figures["tpr_at_5_percent_fpr"]
    assert rare.difference == Figure(reason="a false-positive rate of 0.05 needs at least 200 reals, there are 120")
    unset = compare(a, b, measures=MEASURES, resamples=50).conditions["clean"]
    reason = unset.figures["balanced_accuracy_at_threshold"].difference.reason
    assert reason == "no threshold was fitted"


def test_delong_is_given_where_every_picture_is_its_own_group() -> None:
    a, b = synthetic(), synthetic(seed=1)
    assert compare(a, b, resamples=50).conditions["clean"].figures["auroc"].p_value_delong is None
    ungrouped = compare(a.assign(group=""), b, resamples=400).conditions["clean"].figures["auroc"]
    assert ungrouped.p_value_delong == pytest.approx(delong(a.logit, b.logit, a.label).p_value)
    assert ungrouped.p_value == pytest.approx(ungrouped.p_value_delong, abs=0.1)


def test_runs_are_compared_in_their_common_conditions_with_holm(tmp_path: Path) -> None:
    plant_run(tmp_path / "a", "ours")
    plant_run(tmp_path / "b", "theirs", seed=1)
    only = {"delivered": {"factor": 0.2}}
    plant_run(tmp_path / "c", "third", seed=2, conditions=only)
    found = compare_runs([tmp_path / name for name in "abc"], resamples=40)
    assert [(d.run_b, d.condition) for d in found.differences][:: len(MEASURES)] == [
        (f"theirs ({tmp_path / 'b'})", "delivered"), (f"theirs ({tmp_path / 'b'})", "alike"),
        (f"third ({tmp_path / 'c'})", "delivered"),
    ]  # fmt: skip
    tested = [d for d in found.differences if d.figure.p_value is not None]
    assert found.tests == len(tested) > 0
    assert found.least_p_value_holm == pytest.approx(len(tested) * 2 / 41)
    many = compare_runs([tmp_path / "a", *[tmp_path / "b", tmp_path / "c"] * 3])
    assert many.resamples > 1000, "more tests take more resamples"
    assert many.least_p_value_holm < 0.025
    assert [d.p_value_holm for d in tested] == pytest.approx(holm([d.figure.p_value for d in tested]))
    assert RunComparison.model_validate_json(found.model_dump_json()) == found
    with pytest.raises(UsageError, match="two run folders or more"):
        compare_runs([tmp_path / "a"])
    (tmp_path / "bad").mkdir()
    for name in ("DONE", "predictions.parquet"):
        (tmp_path / "bad" / name).touch()
    (tmp_path / "bad" / "record.json").write_text('{"checkpoint": {"name": "d"}}')
    (tmp_path / "bad" / "metrics.json").write_text('{"level": "high"}')
    with pytest.raises(UsageError, match="not a record of this release"):
        compare_runs([tmp_path / "a", tmp_path / "bad"])
    (tmp_path / "b" / "DONE").unlink()
    with pytest.raises(UsageError, match="not finished, DONE missing"):
        compare_runs([tmp_path / "a", tmp_path / "b"])
    plant_run(tmp_path / "d", "fourth", conditions={"jpeg-30": {"factor": 1.0}})
    with pytest.raises(UsageError, match="no condition in common"):
        compare_runs([tmp_path / "c", tmp_path / "d"])


def test_the_shortcut_gap_is_the_paired_difference_of_two_views() -> None:
    """Planted: alike, every fake comes 0.8 logits nearer to the reals."""
    table = synthetic(conditions=("delivered", "alike"))
    table["logit"] = [*table.logit[:320], *(table.logit[:320] - 0.8 * (table.label[:320] == 1))]
    gap = summary_of(table).shortcut_gap
    assert gap is not None
    delivered, alike = table[:320], table[320:]
    expected = binary.auroc(delivered.logit, delivered.label) - binary.auroc(alike.logit, alike.label)
    assert gap.difference.value == pytest.approx(expected)
    assert_interval(gap.difference)
    assert gap.difference.low > 0
    assert gap.difference.high - gap.difference.low < gap.a.high - gap.a.low, "pairs are sharper than each figure"
    assert summary_of(synthetic(conditions=("delivered",))).shortcut_gap is None


def test_streams_share_what_all_of_them_achieve() -> None:
    """Planted: stream a sees the fakes, stream b sees nothing; together they are as good as a."""
    seen = {("a",): 1.0, ("b",): 0.0, ("a", "b"): 1.0}
    tables = []
    for streams, factor in seen.items():
        table = synthetic()
        noise = np.random.default_rng(5).normal(0, 1, len(table))
        table["logit"] = noise + factor * 2 * table.label
        tables.append(table.assign(condition="+".join(streams)))
    predictions = pd.concat(tables)
    masked = {"+".join(streams): streams for streams in seen}
    summary = summarise(predictions, balanced_accuracy_threshold=None, masked=masked, resamples=50)
    shares = summary.stream_shares
    assert shares is not None
    all_of_them = summary.conditions["a+b"].overall.figures["auroc"].value
    assert shares["a"].value + shares["b"].value == pytest.approx(all_of_them - 0.5)
    assert shares["a"].value > 0.3
    assert shares["b"].value == pytest.approx((summary.conditions["b"].overall.figures["auroc"].value - 0.5) / 2)
    assert_interval(shares["a"])
    fewer = summarise(predictions, balanced_accuracy_threshold=None, masked={"a": ("a",), "a+b": ("a", "b")})
    assert fewer.stream_shares is None, "without every subset there is no share"


def test_thresholds_of_a_condition_are_its_own() -> None:
    table = synthetic(conditions=("clean", "masked-a"))
    summary = summarise(
        table,
        balanced_accuracy_threshold=0.25,
        recalibrated={"masked-a": Stored(1.0)},
        masked={"masked-a": ("a",)},
        resamples=50,
    )
    clean, own = summary.conditions["clean"], summary.conditions["masked-a"]
    assert (clean.balanced_accuracy_threshold, clean.is_recalibrated) == (None, False)
    assert (own.balanced_accuracy_threshold, own.is_recalibrated) == (1.0, True)
    rows = table[table.condition == "masked-a"]
    expected = binary.balanced_accuracy(rows.logit, rows.label, 1.0)
    assert own.overall.figures["balanced_accuracy_at_threshold"].value == pytest.approx(expected)
    assert (summary.stored("clean"), summary.stored("masked-a")) == (Stored(0.25), Stored(1.0))


def test_the_domain_model_plays_no_part_where_streams_are_masked() -> None:
    table = synthetic(conditions=("clean", "masked-a"))
    table["distance"] = np.where(table.condition == "clean", 1.0, np.nan)
    summary = summarise(
        table, balanced_accuracy_threshold=0.25, verdict_thresholds=VERDICTS, distance_limit=5.0,
        masked={"masked-a": ("a",)}, resamples=50,
    )  # fmt: skip
    assert (summary.stored("clean").distance_limit, summary.stored("masked-a").distance_limit) == (5.0, None)
    assert summary.conditions["masked-a"].overall.figures["coverage"].value is not None
    assert summary.conditions["masked-a"].streams == ("a",)
    assert not summary.conditions["masked-a"].is_recalibrated


def test_content_matched_reals_are_those_of_the_group_or_of_a_named_column() -> None:
    table = synthetic()
    swaps = table.generator == "swap"
    table.loc[swaps, "group"] = [f"film-{i // 2}" for i in range(int(swaps.sum()))]  # swapped into the films' people
    table.loc[table.id == "swap-39", "group"] = "nobody's"
    found = summary_of(table).conditions["clean"]
    assert list(found.matched) == ["swap"]
    row = found.matched["swap"]
    assert (row.n_real, row.n_fake) == (40, 39)
    chosen = table[(table.source == "film") | (swaps & (table.id != "swap-39"))]
    assert row.figures["auroc"].value == binary.auroc(chosen.logit, chosen.label)
    named = summary_of(table.assign(content=np.where(table.id.str.contains("gan|web"), "shoes", "")))
    matched = named.conditions["clean"].matched
    assert sorted(matched) == ["gan", "swap"]
    assert (matched["gan"].n_real, matched["gan"].n_fake) == (40, 40)
    assert list(SHIFT) == list(dict.fromkeys(table[table.label == 1].generator))
    assert json.loads(named.model_dump_json())["conditions"]["clean"]["matched"]["gan"]["n_real"] == 40
