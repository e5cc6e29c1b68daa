"""Reports of planted runs: every figure is that of the metrics, in every format, and what is missing says why."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.report.planted import MASKED, PERTURBED, plant_run, planted_predictions
from tristream.errors import UsageError
from tristream.evaluation import suites
from tristream.evaluation.comparison import compare, compare_runs, resamples_for
from tristream.evaluation.run_folder import find_runs, finish
from tristream.evaluation.summary import Summary
from tristream.evaluation.text import figure_text
from tristream.report.contents import MEASURES
from tristream.report.report import FORMATS, Report, make_report
from tristream.report.runs import arrange
from tristream.report.suites import MEASURES as SUITE_MEASURES
from tristream.report.suites import find_suites


@pytest.fixture
def ours(tmp_path: Path) -> Summary:
    """Planted in runs/ours."""
    return plant_run(tmp_path / "runs/ours")


def report_of(folder: Path, **options: object) -> Report:
    return make_report(find_runs([folder / "runs"]), **options)  # type: ignore[arg-type]


def table_of(report: Report, start: str) -> list[list[str]]:
    """The lines of a table as texts."""
    from tristream.report.table import lay_out

    (table,) = (t for t in report.tables if t.name.startswith(start))
    return [[text.words for text in line] for line in lay_out(table).lines]


def csv_rows(report: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(FORMATS["csv"](report))))


def test_every_format_has_the_figures_of_the_metrics(tmp_path: Path, ours: Summary) -> None:
    report = report_of(tmp_path)
    texts = {name: write(report) for name, write in FORMATS.items()}
    overall = ours.conditions["alike"].overall
    for measure in MEASURES:
        expected = figure_text(overall.figures[measure])
        assert expected in texts["markdown"]
        assert expected in texts["html"]
        assert expected.replace("[", "{[}").replace("—", "---") in texts["latex"]
    row = next(
        r for r in csv_rows(report)
        if r["condition"] == "alike" and r["measure"] == "auroc" and r["table"].startswith("overall")
    )  # fmt: skip
    assert float(row["value"]) == overall.figures["auroc"].value
    assert float(row["low"]) == overall.figures["auroc"].low
    assert (row["n_real"], row["n_fake"]) == ("28", "28")


def test_the_csv_holds_every_figure_of_metrics_json_once(tmp_path: Path, ours: Summary) -> None:
    plant_run(tmp_path / "runs/theirs", "theirs", seed=1)
    rows = [row for row in csv_rows(report_of(tmp_path)) if row["detector"] == "ours"]
    found = {(r["table"].split("-")[0], r["condition"], r["part"], r["measure"]): r["value"] for r in rows}
    assert len(found) == len(rows)
    for condition, summary in ours.conditions.items():
        for measure, figure in summary.overall.figures.items():
            assert found["overall", condition, "", measure] == ("" if figure.value is None else str(figure.value))
        for side, parts in (("generators", summary.generators), ("sources", summary.sources)):
            for part, row in parts.items():
                for measure, figure in row.figures.items():
                    assert found[side, condition, part, measure] == str(figure.value)


def test_a_missing_figure_is_a_dash_with_its_reason(tmp_path: Path, ours: Summary) -> None:
    plant_run(tmp_path / "runs/plain", "plain", conditions={"delivered": {}}, calibrated=False)
    report = report_of(tmp_path)
    lines = {(line[0], line[1]): line for line in table_of(report, "overall")}
    assert lines["plain", "as delivered"][4 + list(MEASURES).index("expected_calibration_error")] == "—"
    assert set(lines["plain", "everything alike"][2:]) == {"—"}
    for name in ("markdown", "latex", "html"):
        text = FORMATS[name](report)
        assert "the detector is not calibrated" in text
        assert "no record of plain under this condition" in text
    assert not [r for r in csv_rows(report) if not r["value"] and not r["reason"]]


def test_every_table_names_its_runs(tmp_path: Path, ours: Summary) -> None:
    plant_run(tmp_path / "runs/theirs", "theirs", seed=1, conditions={"delivered": {}})
    report = report_of(tmp_path)
    for table in report.tables:
        names = {cell.detector for row in table.rows for cell in row.cells if cell and cell.figure.value is not None}
        assert {run.record.checkpoint.name for run in table.runs} == names
    for run in find_runs([tmp_path / "runs"]):
        for text in (FORMATS["markdown"](report), FORMATS["latex"](report), FORMATS["html"](report)):
            assert run.checkpoint in text
            assert run.record.command in text
            assert "bootstrap seed 0, 40 resamples" in text


def test_runs_of_one_command_stand_in_one_line_with_it(tmp_path: Path, ours: Summary) -> None:
    for name in ("spatial", "semantic"):
        plant_run(tmp_path / "runs" / name, name, conditions={"delivered": {}})
        record = tmp_path / "runs" / name / "record.json"
        record.write_text(json.dumps(json.loads(record.read_text()) | {"command": "tristream ablate"}))
    (line,) = {n for n in FORMATS["markdown"](report_of(tmp_path)).splitlines() if n.endswith(": `tristream ablate`")}
    words = line.split("; ")
    assert len(words) == 2
    assert words[0].startswith("- semantic, checkpoint ")
    assert words[1].startswith("spatial, checkpoint ")


def test_seeds_become_mean_and_deviation(tmp_path: Path) -> None:
    values = []
    for seed in range(3):
        summary = plant_run(tmp_path / f"runs/{seed}", "many", seed=seed, detector={"seed": seed})
        values.append(summary.conditions["alike"].overall.figures["auroc"].value)
    (line,) = (line for line in table_of(report_of(tmp_path), "overall") if line[1] == "everything alike")
    assert line[4] == f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
    assert "mean ± standard deviation of 3 seeds" in FORMATS["markdown"](report_of(tmp_path))


def test_checkpoints_of_one_name_without_seeds_are_told_apart(tmp_path: Path) -> None:
    for seed in range(2):
        plant_run(tmp_path / f"runs/{seed}", "same", seed=seed)
    (pictures,) = arrange(find_runs([tmp_path / "runs"]))
    assert sorted(e.name for e in pictures.entries) == sorted(f"same ({run.checkpoint})" for run in pictures.runs)


def test_two_precisions_of_one_checkpoint_are_two_rows_where_they_score_the_same(tmp_path: Path) -> None:
    for name, conditions in (("a", ("delivered",)), ("b", ("delivered", "alike")), ("c", ("alike",))):
        plant_run(tmp_path / f"runs/{name}", conditions={condition: {} for condition in conditions})
        if name != "a":
            record = tmp_path / f"runs/{name}/record.json"
            record.write_text(record.read_text().replace('"precision": "32"', '"precision": "bf16"'))
    runs = find_runs([tmp_path / "runs"])
    expected = [("ours, precision 32", 1), ("ours, precision bf16", 2)]
    for order in (runs, runs[::-1]):
        (pictures,) = arrange(order)
        assert sorted((entry.name, len(entry.runs)) for entry in pictures.entries) == expected
    (pictures,) = arrange(find_runs([tmp_path / "runs/a", tmp_path / "runs/c"]))
    assert [entry.name for entry in pictures.entries] == ["ours"], "other conditions in another precision are one row"


def test_conditions_of_one_name_that_were_made_otherwise_are_told_and_not_paired(tmp_path: Path) -> None:
    for number, (name, words) in enumerate((("a", "old draw"), ("b", "new draw"), ("c", "new draw"))):
        plant_run(tmp_path / "runs" / name, name, seed=number, conditions={"alike": {"description": words}})
    report = make_report(find_runs([tmp_path / "runs"]), baseline="a")
    told = "The condition 'everything alike' is not the same for all. a: old draw. b; c: new draw."
    assert all(told in table.notes for table in report.tables if table.name.startswith(("overall", "generators")))
    (differences,) = (table for table in report.tables if table.name.startswith("differences"))
    reasons = {cell.figure.reason for row in differences.rows for cell in row.cells if cell}
    assert "everything alike was not made the same way for both" in reasons
    folders = [tmp_path / "runs" / name for name in "abc"]
    with pytest.raises(UsageError, match="no condition in common"):
        compare_runs(folders)
    assert compare_runs(folders[1:]).differences


def test_scores_of_the_same_name_are_not_taken_for_another_precision(tmp_path: Path) -> None:
    for number, name in enumerate(("run", "scores")):
        plant_run(tmp_path / "runs" / name, "ours", seed=number)
    record = tmp_path / "runs/scores/record.json"
    record.write_text(record.read_text().replace('"precision": "32", ', ""))
    (pictures,) = arrange(runs := find_runs([tmp_path / "runs"]))
    assert runs[1].record.precision is None
    assert [entry.name for entry in pictures.entries] == [f"ours ({run.checkpoint})" for run in runs]


def test_robustness_goes_by_severity_and_starts_from_the_pictures_as_delivered(tmp_path: Path) -> None:
    summary = plant_run(tmp_path / "runs/ours", conditions=PERTURBED)
    lines = table_of(report_of(tmp_path), "robustness")
    assert [line[:3] for line in lines] == [
        ["none", "0", "as delivered"], ["jpeg", "1", "quality 70"], ["jpeg", "2", "quality 30"],
    ]  # fmt: skip
    assert lines[2][-1] == figure_text(summary.conditions["jpeg-30"].overall.figures["auroc"])


def test_masked_and_retrained_ablations_are_two_tables(tmp_path: Path) -> None:
    plant_run(tmp_path / "runs/masked", conditions=MASKED, detector={"streams": ["spatial", "frequency"]})
    for streams in (["spatial"], ["spatial", "frequency"]):
        name = f"new-{'+'.join(streams)}"
        plant_run(tmp_path / "runs" / name, name, conditions={"delivered": {}}, detector={"streams": streams})
    report = report_of(tmp_path)
    masked, retrained = table_of(report, "ablation-masked"), table_of(report, "ablation-retrained")
    assert [line[0] for line in masked] == ["spatial + frequency", "spatial", "frequency"]
    assert [line[:2] for line in retrained] == [
        ["spatial + frequency", "new-spatial+frequency"], ["spatial", "new-spatial"],
    ]  # fmt: skip


def test_each_streams_share_stands_with_its_interval(tmp_path: Path) -> None:
    summary = plant_run(tmp_path / "runs/masked", conditions=MASKED)
    assert summary.stream_shares is not None
    assert table_of(report_of(tmp_path), "shapley-masked") == [
        [stream, "28", "28", figure_text(figure)] for stream, figure in sorted(summary.stream_shares.items())
    ]


def test_shares_of_retrained_streams_need_every_subset(tmp_path: Path) -> None:
    separation = {("spatial",): 2.0, ("frequency",): 0.2}
    for seed, (streams, factor) in enumerate(separation.items()):
        name = f"new-{'+'.join(streams)}"
        conditions = {"delivered": {"factor": factor}}
        plant_run(tmp_path / "runs" / name, name, conditions=conditions, detector={"streams": streams}, seed=seed)
    assert not [t for t in report_of(tmp_path).tables if t.name.startswith("shapley")]
    both = ["spatial", "frequency"]
    both_name = "new-spatial+frequency"
    conditions = {"delivered": {"factor": 2.1}}
    summary = plant_run(tmp_path / "runs/both", both_name, conditions=conditions, detector={"streams": both}, seed=9)
    (first, *_, share), (second, *_, other) = table_of(report_of(tmp_path), "shapley-retrained")
    assert (first, second) == ("spatial", "frequency")
    whole = summary.conditions["delivered"].overall.figures["auroc"].value
    assert whole is not None
    assert float(share[:5]) > float(other[:5])
    assert float(share[:5]) + float(other[:5]) == pytest.approx(whole - 0.5, abs=2e-3)


def test_the_shortcut_gap_is_paired_and_a_detector_without_both_views_has_none(tmp_path: Path, ours: Summary) -> None:
    plant_run(tmp_path / "runs/plain", "plain", conditions={"delivered": {}})
    gap = ours.shortcut_gap
    assert gap is not None
    assert table_of(report_of(tmp_path), "gap") == [
        ["ours", "28", "28", figure_text(gap.a), figure_text(gap.b), figure_text(gap.difference)],
        ["plain", "—", "—", "—", "—", "—"],
    ]


def test_content_matched_reals_have_a_table_of_their_own(tmp_path: Path) -> None:
    table = planted_predictions({"delivered": 1.0})
    swapped = (table["generator"] == "gan") | (table["source"] == "film")
    groups = table["group"].where(~swapped, "video " + table["group"].str.split().str[-1])
    summary = plant_run(tmp_path / "runs/swaps", predictions=table.assign(group=groups), conditions={"delivered": {}})
    row = summary.conditions["delivered"].matched["gan"]
    assert (row.n_real, row.n_fake) == (14, 14)
    assert table_of(report_of(tmp_path), "matched") == [["gan", "14", "14", figure_text(row.figures["auroc"])]]


def test_differences_are_those_of_the_paired_comparison_and_corrected(tmp_path: Path) -> None:
    tables = {}
    for seed, name in enumerate(("ours", "theirs", "third")):
        tables[name] = planted_predictions({"delivered": 1.0, "alike": 0.3 * seed}, seed=seed)
        plant_run(tmp_path / f"runs/{name}", name, predictions=tables[name])
    report = report_of(tmp_path, baseline="theirs")
    lines = table_of(report, "differences")
    expected = compare(tables["third"], tables["theirs"], resamples=resamples_for(4, 40)).conditions["alike"]
    (line,) = (line for line in lines if line[:2] == ["third − theirs", "everything alike"])
    assert line[4] == figure_text(expected.difference)
    raw = sorted(float(line[5]) for line in lines)
    corrected = sorted(float(line[6]) for line in lines)
    assert corrected[0] == pytest.approx(min(1, 4 * raw[0]), abs=2e-3)
    assert all(after >= before for before, after in zip(raw, corrected, strict=True))
    with pytest.raises(UsageError, match="no detector 'fourth' to compare with; there are: ours, theirs, third"):
        report_of(tmp_path, baseline="fourth")


def test_a_baseline_whose_name_several_bear_is_told(tmp_path: Path) -> None:
    for number, place in enumerate(("checkpoint", "export")):
        plant_run(tmp_path / f"runs/{place}", "ours", seed=number)
    plant_run(tmp_path / "runs/theirs", "theirs")
    with pytest.raises(UsageError, match=r"'ours' is not one detector but ours \(\w+\), ours \(\w+\); name it by"):
        report_of(tmp_path, baseline="ours")


def test_other_streams_are_no_other_seed(tmp_path: Path) -> None:
    for seed, streams in enumerate((["spatial", "frequency"], ["spatial"])):
        facts = {"streams": streams, "seed": seed}
        plant_run(tmp_path / f"runs/{seed}", "multistream", detector=facts, seed=seed)
    (section,) = report_of(tmp_path).sections
    names = {row.labels[0] for table in section.tables if table.name.startswith("overall") for row in table.rows}
    assert len(names) == 2


def test_initialisation_is_a_column_and_deviations_are_footnotes(tmp_path: Path) -> None:
    facts = {"initialisation": "ImageNet", "deviations": ["trained on 2,000 pictures"]}
    plant_run(tmp_path / "runs/base", "base", detector=facts)
    text = FORMATS["markdown"](report_of(tmp_path))
    assert "| base<sup>1</sup> | ImageNet | as delivered |" in text
    assert "<sup>1</sup> trained on 2,000 pictures" in text


def test_pictures_are_not_mixed(tmp_path: Path, ours: Summary) -> None:
    plant_run(tmp_path / "runs/elsewhere", pictures="other/index.csv")
    report = report_of(tmp_path)
    assert [section.title for section in report.sections] == [
        "other/index.csv, split test",
        "set/index.csv, split test",
    ]
    assert all(len({run.record.data for run in table.runs}) == 1 for table in report.tables)


def test_reported_figures_stand_apart(tmp_path: Path, ours: Summary) -> None:
    report = report_of(tmp_path, reported=True)
    *measured, reported = report.sections
    assert reported.title == "Reported elsewhere, not measured here"
    assert all(table.runs and all(row.cells for row in table.rows) for section in measured for table in section.tables)
    for table in reported.tables:
        assert table.title.startswith("Reported, not measured here")
        assert not table.runs
        assert re.search(r"as printed in .+ of .+ \(https://", table.notes[0])
    assert not [row for row in csv_rows(report) if row["table"].startswith("reported")]


def test_a_suite_has_a_line_for_every_set_and_says_how_to_obtain_those_that_are_not_there(tmp_path: Path) -> None:
    summary = plant_run(tmp_path / "runs/so-fake", conditions={"delivered": {}})
    row = summary.conditions["delivered"].overall
    figures = {m: row.figures[m].model_dump() for m in SUITE_MEASURES}
    empty = {"value": None, "reason": "no celebdf.parquet; its authors have to be asked"}
    gated = {measure: empty for measure in figures}
    common = {"checkpoint": "ours (0123)", "condition": "delivered", "unit": "picture", "part": "all"}
    cells = [
        {**common, "set": "So-Fake-OOD", "n_real": 28, "n_fake": 28, "figures": figures, "run": "so-fake"},
        {**common, "set": "Celeb-DF-v2", "n_real": 0, "n_fake": 0, "figures": gated, "run": None},
    ]
    suite = {"suite": "ood", "description": "unseen generators", "cells": cells}
    (tmp_path / "runs/suite.json").write_text(json.dumps(suite))
    report = make_report(find_runs([tmp_path / "runs"]), find_suites([tmp_path / "runs"]))
    assert table_of(report, "suite-ood") == [
        ["So-Fake-OOD", "picture", "all", "28", "28", *(figure_text(row.figures[m]) for m in figures)],
        ["Celeb-DF-v2", "picture", "all", "—", "—", *["—"] * len(figures)],
    ]
    assert "no celebdf.parquet; its authors have to be asked" in FORMATS["html"](report)
    (table,) = (table for table in report.tables if table.name.startswith("suite"))
    assert [run.folder.name for run in table.runs] == ["so-fake"]
    shutil.copytree(tmp_path / "runs", tmp_path / "more")
    typed = json.loads((tmp_path / "runs/suite.json").read_text())
    typed["cells"][0]["run"] = "nowhere"
    (tmp_path / "typed").mkdir()
    (tmp_path / "typed/suite.json").write_text(json.dumps(typed))
    alone = make_report(find_runs([tmp_path / "runs"]), find_suites([tmp_path / "typed"]))
    (table,) = (table for table in alone.tables if table.name.startswith("suite"))
    cells = [cell for row in table.rows for cell in row.cells if cell]
    assert {cell.text for cell in cells} == {"—"}, "no figure without its run"
    assert "its run nowhere is not there" in {cell.figure.reason for cell in cells}
    (tmp_path / "typed/suite.json").unlink()
    both = make_report(find_runs([tmp_path]), find_suites([tmp_path]))
    names = [table.name for table in both.tables if table.name.startswith("suite")]
    assert len(set(names)) == len(names) == 2


def test_a_report_shows_every_figure_of_a_suite() -> None:
    assert tuple(SUITE_MEASURES) == suites.MEASURES


def test_folders_are_searched_and_what_is_no_run_is_refused(tmp_path: Path, ours: Summary) -> None:
    assert [run.folder.name for run in find_runs([tmp_path, tmp_path / "runs/ours"])] == ["ours"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no record"):
        find_runs([tmp_path / "empty"])
    (tmp_path / "runs/ours/DONE").unlink()
    with pytest.raises(UsageError, match="not finished, DONE missing"):
        find_runs([tmp_path / "runs"])
    finish(tmp_path / "runs/ours")
    find_runs([tmp_path / "runs"])
    metrics = tmp_path / "runs/ours/metrics.json"
    plain = metrics.read_text(encoding="utf-8")
    metrics.write_text(plain.replace("0.", "0.9", 1), encoding="utf-8")
    with pytest.raises(UsageError, match=r"metrics.json: is not what the run wrote; remove DONE"):
        find_runs([tmp_path / "runs"])
    metrics.write_text(plain, encoding="utf-8")
    (tmp_path / "runs/ours/record.json").write_text('{"command": ""}')
    with pytest.raises(UsageError, match="not a record of this release; checkpoint: Field required"):
        find_runs([tmp_path / "runs"])


def test_a_report_needs_no_pytorch() -> None:
    program = "import sys, tristream.report.report, tristream.report.scores; sys.exit('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    assert subprocess.run([sys.executable, "-c", program], env=environment, timeout=300).returncode == 0
