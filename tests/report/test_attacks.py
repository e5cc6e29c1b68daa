"""The table of attacks: each direction, success in every form, the budget, and whether the checks hold."""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.attacks.planted import planted_opened, planted_pictures
from tests.report.planted import plant_run
from tristream.attacks.budget import Budget, attacks
from tristream.attacks.run import attack
from tristream.evaluation.checkpoint import PictureSet
from tristream.evaluation.figures import Figure
from tristream.evaluation.run_folder import find_runs
from tristream.evaluation.text import figure_text
from tristream.report.report import FORMATS, Report, make_report
from tristream.report.table import lay_out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """runs/attack: FGSM and C&W on a linear detector."""
    place = tmp_path_factory.mktemp("report")
    data = PictureSet(planted_pictures(place), "test", 24)
    chosen = [a for a in attacks(["fgsm", "cw"], Budget(24, 12, 3, 15)) if a.name in ("fgsm-4", "cw")]
    attack(planted_opened(place / "planted.safetensors"), data, place / "runs/attack", chosen, resamples=50)
    return place


def report_of(folder: Path) -> Report:
    return make_report(find_runs([folder / "runs"]))


def test_rows_are_directions_and_figures_are_those_of_the_run(folder: Path) -> None:
    (run,) = find_runs([folder / "runs"])
    (table,) = (table for table in report_of(folder).tables if table.name.startswith("attacks-"))
    lines = [[text.words for text in line] for line in lay_out(table).lines]
    carlini_wagner = "Carlini-Wagner L2: search steps 3, iterations 15, confidence 0, initial weight 0.1"
    assert [line[1:3] for line in lines] == [
        ["no attack", "hide a fake"],
        ["no attack", "accuse a real"],
        ["FGSM: epsilon 4/255", "hide a fake"],
        ["FGSM: epsilon 4/255", "accuse a real"],
        [carlini_wagner, "hide a fake"],
        [carlini_wagner, "accuse a real"],
        [f"{carlini_wagner}, before rounding", "hide a fake"],
        [f"{carlini_wagner}, before rounding", "accuse a real"],
    ]
    directions = {end: run.summary.conditions[f"fgsm-4{end}"].attack.directions["hide"].figures
                  for end in ("", "-jpeg-90", "-shuffled")}  # fmt: skip
    plain = directions[""]
    assert lines[2][3:] == ["12", "12", *map(figure_text, (
        plain["auroc"], plain["robust_accuracy"], plain["success_rate"], directions["-jpeg-90"]["success_rate"],
        directions["-shuffled"]["success_rate"], plain["median_l2"],
    ))]  # fmt: skip
    assert [line[3:5] for line in lines[4:]] == [["6", "6"]] * 4
    unrounded = run.summary.conditions["cw-unrounded"].attack.directions["hide"].figures
    assert lines[6][7:] == [figure_text(unrounded["success_rate"]), "", "", figure_text(unrounded["median_l2"])]
    (of_norms,) = (row.cells[-1] for row in table.rows if row.labels[1:3] == ("FGSM: epsilon 4/255", "hide a fake"))
    right = run.summary.conditions["fgsm-4"].attack.directions["hide"].n_right
    assert (of_norms.n_real, of_norms.n_fake) == (0, round(plain["success_rate"].value * right)), "of what succeeded"
    footnotes = " ".join(lay_out(table).footnotes)
    assert "0 real, 12 fake" in footnotes, "success is of the attacked pictures that were right before"
    assert any(note == "planted: 3 of 3 checks of the attacks hold" for note in table.notes)


def test_success_stands_detector_beside_detector_each_with_its_own_n(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "runs/attack", tmp_path / "runs/planted")
    (weaker,) = attacks(["cw"], Budget(24, 12, 2, 15))
    opened, data = planted_opened(tmp_path / "other.safetensors", name="other"), folder / "manifest.csv"
    attack(opened, PictureSet(data, "test", 24), tmp_path / "runs/other", [weaker], resamples=50)
    report = report_of(tmp_path)
    (table,) = (table for table in report.tables if table.name.startswith("attacks-success-"))
    assert table.columns == ("other", "planted")
    fgsm = "FGSM: epsilon 4/255"
    ours, theirs = (
        f"Carlini-Wagner L2: search steps {n}, iterations 15, confidence 0, initial weight 0.1" for n in (3, 2)
    )
    jpeg, noise = ", then JPEG quality 90", ", its changes shuffled: noise"
    assert list(dict.fromkeys(row.labels[0] for row in table.rows)) == [
        *(words + form for words in (theirs, ours) for form in ("", jpeg, noise, ", before rounding")),
        *(fgsm + form for form in ("", jpeg, noise)),
    ]
    lines = {tuple(text.words for text in line[:2]): line[2:] for line in lay_out(table).lines}
    (run,) = find_runs([tmp_path / "runs/planted"])
    hidden = run.summary.conditions["fgsm-4"].attack.directions["hide"]
    other, planted = lines[fgsm, "hide a fake"]
    assert planted.words == f"{figure_text(hidden.figures['success_rate'])} of {hidden.n_right}"
    assert (other.words, [lay_out(table).footnotes[mark - 1] for mark in other.marks]) == (
        "—",
        ["no record of other under this condition"],
    )
    assert lines[ours, "accuse a real"][0].words == "", "with another budget"
    assert lines[theirs, "accuse a real"][1].words == ""
    mean = replace(table.rows[0].cells[0], figure=Figure(value=0.5), std=0.1, seeds=3)
    assert mean.text == "0.500 ± 0.100", "of several seeds, each with an n of its own"
    (plain,) = (t for t in report_of(folder).tables if t.name.startswith("attacks-"))
    assert plain.title == "Attacks on the pixels", "of one detector there is nothing to set beside"


def test_every_format_holds_both_directions(folder: Path) -> None:
    report = report_of(folder)
    for name, write in FORMATS.items():
        text = write(report)
        assert "hide a fake" in text, name
        assert "accuse a real" in text, name
    rows = [row for row in csv.DictReader(io.StringIO(FORMATS["csv"](report))) if row["measure"] == "success_rate"]
    assert {row["part"] for row in rows} == {"hide a fake", "accuse a real"}


def test_a_check_that_fails_is_told_by_the_table(folder: Path, tmp_path: Path) -> None:
    """A record that claims a smaller budget than the pixels show."""
    run = tmp_path / "runs/attack"
    run.mkdir(parents=True)
    for file in (folder / "runs/attack").iterdir():
        (run / file.name).write_bytes(file.read_bytes())
    record = json.loads((run / "record.json").read_text())
    record["conditions"]["fgsm-4"]["parameters"]["epsilon"] = "2/255"
    (run / "record.json").write_text(json.dumps(record))
    (table,) = (table for table in report_of(tmp_path).tables if table.name.startswith("attacks-"))
    assert (
        "2 of 3 checks of the attacks hold; failed: fgsm-4 changes no pixel by more than 2 grey levels"
        in table.notes[-1]
    )


def test_runs_without_attacks_have_no_such_table(tmp_path: Path) -> None:
    plant_run(tmp_path / "runs/ours")
    assert not [table for table in report_of(tmp_path).tables if table.name.startswith("attacks-")]
