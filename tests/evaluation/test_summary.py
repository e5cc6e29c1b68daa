"""Summaries of synthetic predictions tables: counts, figures, nulls with reasons, paired comparisons, JSON."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tristream.errors import UsageError
from tristream.evaluation.figures import MEASURES
from tristream.evaluation.summary import Figure, Row, Summary, matched_auroc, summarise
from tristream.metrics import binary
from tristream.runtime.verdict import Thresholds

SHIFT = {"gan": 3.0, "diffusion": 1.0, "swap": 0.3, "autoregressive": 1.5, "video": 0.8}

VERDICTS = Thresholds(fake=1.5, real=-1.0)


def synthetic(seed: int = 0, conditions: tuple[str, ...] = ("clean",), per_name: int = 40) -> pd.DataFrame:
    """Three photo sources and five generators of `per_name` pictures each, two pictures a group; nothing failed."""
    random = np.random.default_rng(seed)
    names = ["phone", "film", "web", *SHIFT]
    rows = []
    for condition in conditions:
        for name in names:
            logit = random.normal(SHIFT.get(name, -0.5), 1, per_name)
            rows.append(
                pd.DataFrame(
                    {
                        "id": [f"{name}-{i}" for i in range(per_name)],
                        "label": int(name in SHIFT),
                        "generator": name if name in SHIFT else "",
                        "source": f"folder-{name}" if name in SHIFT else name,
                        "group": [f"{name}-{i // 2}" for i in range(per_name)],
                        "condition": condition,
                        "logit": logit,
                        "probability": 1 / (1 + np.exp(-logit)),
                        "error": "",
                    }
                )
            )
    return pd.concat(rows, ignore_index=True)


def summary_of(table: pd.DataFrame, threshold: float | None = 0.25, verdicts: Thresholds | None = VERDICTS) -> Summary:
    return summarise(table, balanced_accuracy_threshold=threshold, verdict_thresholds=verdicts, resamples=100)


def assert_interval(figure: Figure) -> None:
    assert figure.value is not None
    assert figure.low is not None
    assert figure.high is not None
    assert figure.low <= figure.value <= figure.high
    assert figure.reason is None


def test_overall_figures_are_those_of_the_metrics_with_intervals() -> None:
    table = synthetic()
    summary = summary_of(table)
    row = summary.conditions["clean"].overall
    assert (row.n_real, row.n_fake, row.n_real_groups, row.n_fake_groups, row.n_failed) == (120, 200, 60, 100, 0)
    assert list(row.figures) == list(MEASURES)
    columns = table.logit, table.label
    assert row.figures["auroc"].value == binary.auroc(*columns)
    assert row.figures["f1_at_threshold"].value == binary.f1(*columns, 0.25)
    assert row.figures["accuracy_at_half"].value == binary.accuracy(*columns, 0.0)  # probability 0.5 is logit 0 here
    assert row.figures["brier"].value == pytest.approx(binary.brier(table.probability, table.label, even_odds=True))
    reals = table.logit[table.label == 0]
    assert row.figures["false_alarm_rate"].value == pytest.approx((reals > 1.5).mean())  # of all reals
    assert row.figures["real_coverage"].value == pytest.approx(((reals > 1.5) | (reals < -1.0)).mean())
    for name, figure in row.figures.items():
        if not name.startswith("tpr"):
            assert_interval(figure)
    rare = row.figures["tpr_at_1_percent_fpr"]
    assert (rare.value, rare.low) == (None, None)
    assert rare.reason == "a false-positive rate of 0.01 needs at least 1000 reals, there are 120"


def test_far_pictures_are_not_answered_and_come_last() -> None:
    """Planted: every fourth picture is far, and its logit is turned round."""
    table = synthetic()
    far = np.arange(len(table)) % 4 == 0
    table["distance"] = np.where(far, 9.0, 1.0)
    table.loc[far, "logit"] = 0.5 - table.loc[far, "logit"]
    limited = {"balanced_accuracy_threshold": 0.25, "verdict_thresholds": VERDICTS, "resamples": 50}
    summary = summarise(table, distance_limit=5.0, **limited)
    plain, checked = (s.conditions["clean"].overall.figures for s in (summarise(table, **limited), summary))
    assert summary.distance_limit == 5.0
    reals = table[table.label == 0]
    assert checked["false_alarm_rate"].value == pytest.approx(((reals.logit > 1.5) & (reals.distance < 5)).mean())
    answered = ((reals.logit > 1.5) | (reals.logit < -1.0)) & (reals.distance < 5)
    assert checked["real_coverage"].value == pytest.approx(answered.mean())
    assert checked["selective_error"].value < plain["selective_error"].value
    assert checked["area_under_risk_coverage"].value < plain["area_under_risk_coverage"].value - 0.02
    assert checked["auroc"] == plain["auroc"], "the ranking of scores is another question"


def test_a_limit_without_recorded_distances_is_no_number() -> None:
    figures = (
        summarise(
            synthetic(), balanced_accuracy_threshold=0.25, verdict_thresholds=VERDICTS, distance_limit=5.0, resamples=50
        )
        .conditions["clean"]
        .overall.figures
    )
    assert figures["coverage"].value is None
    assert figures["coverage"].reason == "the detector has a domain model, but distances were not recorded"


def test_a_generator_is_compared_with_all_reals_and_a_source_with_all_fakes() -> None:
    table = synthetic()
    condition = summary_of(table).conditions["clean"]
    assert sorted(condition.generators) == sorted(SHIFT)
    assert sorted(condition.sources) == ["film", "phone", "web"]
    gan, film = condition.generators["gan"], condition.sources["film"]
    assert (gan.n_real, gan.n_fake, film.n_real, film.n_fake) == (120, 40, 40, 200)
    part = table[(table.label == 0) | (table.generator == "gan")]
    assert gan.figures["auroc"].value == binary.auroc(part.logit, part.label)
    assert gan.figures["fake_accuracy_at_threshold"].value == (table[table.generator == "gan"].logit >= 0.25).mean()
    part = table[(table.label == 1) | (table.source == "film")]
    assert film.figures["auroc"].value == binary.auroc(part.logit, part.label)
    assert film.figures["real_accuracy_at_threshold"].value == (table[table.source == "film"].logit < 0.25).mean()
    for row in (*condition.generators.values(), *condition.sources.values()):
        for figure in row.figures.values():
            assert_interval(figure)


def test_mean_over_generators() -> None:
    condition = summary_of(synthetic()).conditions["clean"]
    mean = condition.mean_generator_auroc
    assert mean.value == pytest.approx(np.mean([row.figures["auroc"].value for row in condition.generators.values()]))
    assert mean.n_generators == 5
    assert_interval(mean)
    table = synthetic()
    few = summary_of(table[table.generator != "gan"]).conditions["clean"].mean_generator_auroc
    assert (few.n_generators, few.low, few.reason) == (4, None, "no interval: 4 generators, it takes 5")


def test_failed_pictures_count_as_failed_and_as_nothing_else() -> None:
    table = synthetic()
    broken = table.copy()
    some = broken.id.isin(["gan-0", "gan-1", "film-7"])
    broken.loc[some, ["logit", "probability"]] = None
    broken.loc[some, "error"] = "truncated"
    with_failures = summary_of(broken).conditions["clean"]
    without = summary_of(table[~some]).conditions["clean"]
    assert with_failures.overall.n_failed == 3
    assert with_failures.generators["gan"].n_failed == 3
    assert with_failures.generators["swap"].n_failed == 1
    assert with_failures.overall.figures == without.overall.figures
    assert (with_failures.overall.n_real, with_failures.overall.n_fake) == (119, 198)


def test_a_condition_in_which_everything_failed_has_reasons() -> None:
    table = synthetic(conditions=("clean", "broken"))
    lost = table.condition == "broken"
    table.loc[lost, ["logit", "probability"]] = np.nan
    table.loc[lost, "error"] = "out of memory"
    summary = summary_of(table)
    row = summary.conditions["broken"].overall
    assert (row.n_real, row.n_fake, row.n_failed) == (0, 0, 320)
    assert all(figure.value is None and figure.reason for figure in row.figures.values())
    assert summary.conditions["broken"].mean_generator_auroc.reason == "no fake pictures"
    assert summary.conditions["clean"].overall.n_failed == 0


def test_without_calibration_and_threshold_the_figures_that_need_them_are_null() -> None:
    table = synthetic().assign(probability=None)
    figures = summary_of(table, None, None).conditions["clean"].overall.figures
    assert_interval(figures["auroc"])
    assert figures["brier"] == Figure(reason="the detector is not calibrated")
    assert figures["accuracy_at_half"] == Figure(reason="the detector is not calibrated")
    assert figures["f1_at_threshold"] == Figure(reason="no threshold was fitted")
    assert figures["area_under_risk_coverage"] == Figure(reason="no threshold was fitted")
    assert figures["coverage"] == Figure(reason="no thresholds of verdicts were fitted")


def test_one_class_leaves_only_what_is_defined() -> None:
    table = synthetic()
    figures = summary_of(table[table.label == 1]).conditions["clean"].overall.figures
    assert figures["auroc"] == Figure(reason="no real pictures")
    assert figures["equal_error_rate"].value is None
    assert_interval(figures["fake_accuracy_at_threshold"])
    assert_interval(figures["accuracy_at_threshold"])


def test_few_pictures_have_values_and_no_intervals() -> None:
    row = summary_of(synthetic(per_name=8)).conditions["clean"].generators["gan"]
    assert row.figures["auroc"].value is not None
    assert row.figures["auroc"].low is None
    assert row.figures["auroc"].reason == ("no interval: 8 fake pictures in 4 groups, it takes 10 pictures in 5 groups")


def test_perfect_figures_do_not_claim_certainty() -> None:
    table = synthetic()
    table["logit"] += 100 * table.label - 50
    figures = summary_of(table).conditions["clean"].overall.figures
    assert figures["auroc"] == Figure(value=1.0, reason="no interval: every resample gives the same value")
    fakes = figures["fake_accuracy_at_threshold"]
    assert (fakes.value, fakes.high) == (1.0, 1.0)
    assert fakes.low == pytest.approx(0.025 ** (1 / 100))


def test_where_everything_is_unsure_there_is_no_error_among_the_answers() -> None:
    nothing = Thresholds(fake=99.0, real=-99.0)
    row = summary_of(synthetic(), verdicts=nothing).conditions["clean"].overall
    assert row.figures["selective_error"] == Figure(reason="every picture is called unsure")
    alarms = row.figures["false_alarm_rate"]
    assert (alarms.value, alarms.low) == (0.0, 0.0)
    assert alarms.high == pytest.approx(1 - 0.025 ** (1 / 60))  # none in 60 groups of reals


def test_pictures_without_a_group_are_groups_of_their_own() -> None:
    row = summary_of(synthetic().assign(group=None)).conditions["clean"].overall
    assert (row.n_real_groups, row.n_fake_groups) == (120, 200)


def test_wider_groups_give_wider_intervals() -> None:
    table = synthetic()
    table["logit"] += table.groupby(table.id.str.extract(r"(.*)-(\d)")[0] + table.group.str[-1]).logit.transform("mean")
    alone = summary_of(table.assign(group="")).conditions["clean"].overall.figures["auroc"]
    together = summary_of(table.assign(group=table.generator + table.source + table.group.str[-1]))
    grouped = together.conditions["clean"].overall.figures["auroc"]
    assert alone.low is not None and alone.high is not None  # noqa: PT018
    assert grouped.low is not None and grouped.high is not None  # noqa: PT018
    assert grouped.value == alone.value
    assert grouped.high - grouped.low > 1.2 * (alone.high - alone.low)


def test_summary_survives_json_and_repeats_with_its_seed() -> None:
    table = synthetic(conditions=("clean", "JPEG 50"))
    summary = summary_of(table)
    assert Summary.model_validate_json(summary.model_dump_json()) == summary
    assert summary_of(table) == summary
    assert list(summary.conditions) == ["clean", "JPEG 50"]


def test_tables_that_are_not_predictions_are_refused() -> None:
    table = synthetic()
    with pytest.raises(UsageError, match="lacks the columns group, logit"):
        summary_of(table.drop(columns=["group", "logit"]))
    table.loc[3, "logit"] = np.nan
    with pytest.raises(UsageError, match="1 pictures have neither a logit nor an error"):
        summary_of(table)
    table.loc[3, "logit"] = np.inf
    with pytest.raises(UsageError, match="not finite"):
        summary_of(table)


def test_matched_auroc_takes_only_the_named_pictures() -> None:
    table = synthetic(conditions=("clean", "JPEG 50"))
    table.loc[table.generator == "video", "source"] = "film"  # fakes may share their folder with reals
    rows = matched_auroc(table, real_sources=["film"], generators=["swap"], fake_sources=["folder-gan"], resamples=50)
    assert list(rows) == ["clean", "JPEG 50"]
    row: Row = rows["clean"]
    chosen = table[(table.condition == "clean") & table.id.str.contains("film|gan|swap")]
    assert (row.n_real, row.n_fake) == (40, 80)
    assert row.figures["auroc"].value == binary.auroc(chosen.logit, chosen.label)
    assert_interval(row.figures["auroc"])
    with pytest.raises(UsageError, match="no real source phones; there are: film, phone, web"):
        matched_auroc(table, real_sources=["phones"], generators=["swap"])
