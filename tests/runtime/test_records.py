"""Predictions written as JSON, CSV and a table, and the file that appears whole or not at all."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.planted import planted_domain, planted_metadata
from tristream.errors import UsageError
from tristream.metrics.calibration import Calibration
from tristream.runtime.predictor import Prediction, Predictor
from tristream.runtime.records import meaning, opened, write_csv, write_json, write_table
from tristream.runtime.session import Session

Picture = Callable[..., Path]
ODD = 'line\nbreak, "quoted" \x1b[31m ünï.png'


@pytest.fixture
def records(predictor: Predictor, picture: Picture, tmp_path: Path) -> list[Prediction]:
    odd, info = picture(ODD, 128), PngInfo()
    info.add_text("Software", "drawn")
    Image.open(odd).save(odd, pnginfo=info)
    return list(predictor.predict_many([picture("white.png", 255), odd, tmp_path / "gone.png"], stability=2))


def test_json_holds_every_record(records: list[Prediction]) -> None:
    stream = io.StringIO()
    write_json(records, stream)
    assert [Prediction.model_validate(record) for record in json.loads(stream.getvalue())] == records


def test_json_of_nothing_is_an_empty_list() -> None:
    stream = io.StringIO()
    write_json([], stream)
    assert json.loads(stream.getvalue()) == []


def test_json_is_valid_when_it_ends_early(records: list[Prediction]) -> None:
    def interrupted() -> Iterator[Prediction]:
        yield from records[:2]
        raise KeyboardInterrupt

    stream = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        write_json(interrupted(), stream)
    assert len(json.loads(stream.getvalue())) == 2


def test_csv_is_flat_and_keeps_odd_names(records: list[Prediction]) -> None:
    stream = io.StringIO()
    write_csv(records, stream, ("bright", "dark"))
    rows = list(csv.DictReader(io.StringIO(stream.getvalue(), newline="")))
    assert [row["path"] for row in rows] == [r.path for r in records]
    assert rows[0]["reasons"] == "score_above_fake_threshold;strongest_stream"
    assert rows[0]["explanation"] == records[0].explanation
    assert (rows[0]["copies"], rows[0]["flips"], rows[1]["origin"]) == ("2", "0", "the file names a program: 'drawn'")
    assert (rows[2]["copies"], rows[2]["origin"]) == ("", "")
    assert float(rows[0]["threshold_fake"]) == pytest.approx(2)
    assert float(rows[0]["weight_bright"]) == pytest.approx(1)
    assert (rows[2]["verdict"], rows[2]["logit"], rows[2]["threshold_real"], rows[2]["weight_dark"]) == ("", "", "", "")
    assert "no such file" in rows[2]["error"]


def test_the_table_says_why_and_shows_no_control_characters(records: list[Prediction], predictor: Predictor) -> None:
    stream = io.StringIO()
    write_table(records, stream, meaning(predictor, 0.05, 0.10))
    text = stream.getvalue()
    assert "\x1b" not in text
    assert "line\\nbreak" in text
    assert "supports no verdict" in text
    assert "no such file" in text
    assert "19 synthetic reals" in text
    assert "2/2, 0.00" in text
    assert "mostly from the bright stream" in text
    (columns, *_), (note,) = text.splitlines(), [line for line in text.splitlines() if "note:" in line]
    assert columns.split() == ["picture", "verdict", "P(fake)", "score", "stable", "why"]
    assert note.strip() == "note: the file names a program: 'drawn'"


def test_where_nothing_was_scored_the_table_ends_with_the_reasons(predictor: Predictor, tmp_path: Path) -> None:
    stream = io.StringIO()
    write_table(predictor.predict_many([tmp_path / "gone.png"]), stream, "how to read it")
    assert stream.getvalue().splitlines()[-1].split(maxsplit=2)[1:] == ["failed", "no such file or directory"]


def test_the_domain_check_stands_in_csv_and_below_the_table(
    session: Session, calibration: Calibration, picture: Picture
) -> None:
    metadata = planted_metadata("brightness", calibration, domain=planted_domain((1.0, 2.0)))
    checked, stream = Predictor(session, metadata), io.StringIO()
    write_csv(checked.predict_many([picture("white.png", 255)]), stream, ("bright", "dark"))
    (row,) = csv.DictReader(io.StringIO(stream.getvalue()))
    assert (float(row["distance"]), float(row["distance_limit"])) == (0.0, 2.0)
    assert "95 % of 2 training pictures lie within distance 2.0 of 20 others (drawn)" in meaning(checked, 0.05, 0.1)
    assert "unlike" not in meaning(Predictor(session, planted_metadata("brightness", calibration)), 0.05, 0.1)


def calibrated(calibration: Calibration, **known: object) -> Predictor:
    changed = calibration.model_copy(update=known)
    return Predictor(None, planted_metadata("none", changed))  # type: ignore[arg-type]


def test_what_is_only_measured_is_not_called_guaranteed(calibration: Calibration) -> None:
    """Planted: 19 reals of 4 sources, whose highest, of source d alone, is above the threshold at 10 %."""
    sources = ("a", "b", "c", *["a", "b", "c", "d"] * 4)
    known = calibrated(calibration, real_sources=sources, shared=("d", "x"))
    odds, odds_of_real, fake, real, *_ = meaning(known, 0.1, 0.1).splitlines()
    assert "Of 19 reserved real pictures, unsure ones included, 5.3 % are called so" in fake
    assert "(0 to 25 % by photo source: 4, 1 of them also in other splits)" in fake
    assert "Measured, not guaranteed for a new photo source: with 4, 20.0 % is the least that can be guaranteed" in fake
    assert real.endswith("5.3 % are called so. Measured, not guaranteed for a new generator.")
    assert odds.startswith("How many of 100 pictures called likely_fake, by the score alone, are real: where 1 % ")
    assert odds_of_real.startswith(
        "How many of 100 pictures called likely_real, by the score alone, are fake: where 1 % "
    )
    unseen = calibrated(calibration, real_sources=sources, shared=())
    assert "photo source: 4 not trained on)" in meaning(unseen, 0.1, 0.1)
    assert "not trained on" not in meaning(calibrated(calibration, real_sources=sources), 0.1, 0.1)
    assert "Guaranteed: at most 20 % for a new photo source" in meaning(known, 0.2, 0.1).splitlines()[2]


def test_without_calibration_the_meaning_is_that_there_is_none() -> None:
    bare = Predictor(None, planted_metadata("bare"))  # type: ignore[arg-type]
    assert "bare is not calibrated" in meaning(bare, 0.05, 0.1)


def test_a_file_appears_only_when_all_is_written(tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    output.write_text("before")

    def break_off() -> None:
        with opened(output) as stream:
            stream.write("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert output.read_text() == "before"
    with opened(output) as stream:
        stream.write("after")
    assert output.read_text() == "after"
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


def test_a_link_to_an_output_keeps_being_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(tmp_path / "target.json")
    with opened(tmp_path / "link.json") as stream:
        stream.write("x")
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "target.json").read_text() == "x"


def test_a_device_is_written_to_and_not_replaced() -> None:
    with opened(Path("/dev/null")) as stream:
        stream.write("x")
    assert Path("/dev/null").is_char_device()


def test_folders_are_refused_as_outputs(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no" / "out.json"):
        with pytest.raises(UsageError, match="folder"), opened(path):
            pytest.fail("opened")
