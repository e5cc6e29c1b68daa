"""Which pictures are scored: a balanced part, some values of a column, a relation of content; and what records say."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from tristream.errors import UsageError
from tristream.evaluation.checkpoint import PictureSet
from tristream.evaluation.predictions import CONTENT
from tristream.evaluation.record import PicturesRecord


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Thirty reals of one source before four fakes, two of each generator."""
    rows = [{"path": f"{i}.png", "label": 0, "source": "phone", "kind": "plain"} for i in range(30)]
    rows += [{"path": f"f{i}.png", "label": 1, "generator": "ab"[i % 2], "kind": "ab"[i % 2]} for i in range(4)]
    for row in rows:
        (tmp_path / str(row["path"])).write_text(str(row["path"]))  # a hash is of the file, whatever it holds
    pd.DataFrame(rows).to_csv(tmp_path / "index.csv", index=False)
    return tmp_path / "index.csv"


def test_a_limit_takes_half_of_each_class_the_same_every_time(data: Path) -> None:
    table = PictureSet(data, limit=4).read().table
    assert table["label"].tolist() == [0, 0, 1, 1]
    assert sorted(table["generator"])[2:] == ["a", "b"]
    assert PictureSet(data, limit=4).read().table["path"].tolist() == table["path"].tolist()
    assert set(table["path"]) <= set(PictureSet(data, limit=8).read().table["path"]), "a larger part holds the smaller"
    assert len(PictureSet(data).read()) == 34
    with pytest.raises(UsageError, match="limit 1: expected 2 or more"):
        PictureSet(data, limit=1).read()


def test_values_of_a_column_are_kept_and_another_matches_content(data: Path) -> None:
    chosen = PictureSet(data, only={"kind": ("plain", "a")}, matched_by="kind").read().table
    assert chosen.groupby("label").size().to_dict() == {0: 30, 1: 2}
    assert chosen[CONTENT].tolist() == chosen["kind"].tolist()
    for wrong in (PictureSet(data, only={"topic": ("x",)}), PictureSet(data, matched_by="topic")):
        with pytest.raises(UsageError, match="no column 'topic'; there are: path, label"):
            wrong.read()


def test_a_record_leads_back_to_the_pictures(data: Path) -> None:
    for pictures in (PictureSet(data), PictureSet(data, "test", 8, "kind", {"kind": ("plain", "a")})):
        text = pictures.record().to_json()
        assert PictureSet.recorded(PicturesRecord.model_validate_json(text), data) == pictures
        assert str(data.parent.parent) not in text, "a record holds no path of the machine"
    assert json.loads(PictureSet(data).record().to_json()).keys() == {"data"}, "what was not asked for is not written"
