"""The tools of video.md: planted faces are counted, planted videos are recorded, and no path of this machine is."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.clips import grey, scene, write_clip
from tristream.evaluation.figures import Figure
from tristream.evaluation.text import figure_text
from tristream.images.faces import MIN_SCORE
from tristream.runtime.predictor import Predictor

pytest.importorskip("av", reason="needs the video extra")
pytest.importorskip("cv2", reason="needs the video extra")
ROOT = Path(__file__).parents[1]
TOOLS = ROOT / "tools"


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType]:
    monkeypatch.syspath_prepend(TOOLS)
    import clip_scores
    import face_rates

    return face_rates, clip_scores


def test_faces_are_counted_per_source(tools: tuple[ModuleType, ModuleType], tmp_path: Path) -> None:
    """Planted: 9 of 12 portraits show a face, no wall does."""
    rows = []
    for index in range(12):
        for source, picture in (("portraits", scene((200, 100)) if index % 4 else scene()), ("walls", scene())):
            name = f"{source}-{index}.png"
            Image.fromarray(picture - np.uint8(index)).save(tmp_path / name)
            rows.append({"path": name, "label": "real", "source": source})
    pd.DataFrame(rows).to_csv(tmp_path / "index.csv", index=False)
    out = tmp_path / "rates.json"
    arguments = ["--faces", "portraits", "--things", "walls", "--scores", "0.8", "-o", str(out)]
    tools[0].main([str(tmp_path / "index.csv"), *arguments])
    found = json.loads(out.read_text())["sources"]
    portraits, walls = (found[name]["by_score"]["0.8"] for name in ("portraits", "walls"))
    assert (found["portraits"]["shows"], found["portraits"]["n"], portraits["found"]) == ("faces", 12, 9)
    assert portraits["rate"]["value"] == 0.75
    assert portraits["rate"]["low"] < 0.75 < portraits["rate"]["high"]
    assert (found["walls"]["shows"], walls["found"], walls["rate"]["value"]) == ("things", 0, 0.0)
    assert walls["rate"]["high"] > 0.1, "none of 12 is not none at all"


def test_clips_are_recorded_in_both_views(
    tools: tuple[ModuleType, ModuleType], predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(tmp_path / "a.mp4", grey(200, 200))
    (tmp_path / "b.mp4").write_text("no video")
    (tmp_path / "index.csv").write_text("path,label,generator\na.mp4,real,\nb.mp4,fake,drawn\n")
    (tmp_path / "detector.onnx").touch()
    monkeypatch.setattr(tools[1].tristream, "load", lambda _: predictor)
    predictor.engine = "abacus"
    out = tmp_path / "clips.json"
    monkeypatch.chdir(tmp_path)
    tools[1].main(["index.csv", "--frames", "2", "--checkpoint", "detector.onnx", "-o", str(out)])
    views = json.loads(out.read_text())["views"]
    assert [row["path"] for row in views["frame"]] == ["a.mp4", "b.mp4"]
    assert views["frame"][0]["logit"] == pytest.approx(20 * (200 / 255 - 0.5), abs=0.2)
    assert "no face found" in views["face"][0]["error"]
    assert views["frame"][1]["error"].startswith("b.mp4: not a video")
    assert str(tmp_path) not in json.dumps(views)


def test_the_page_says_what_the_records_say() -> None:
    page = (ROOT / "docs/video.md").read_text(encoding="utf-8")
    for source, row in json.loads((ROOT / "results/face-rates.json").read_text())["sources"].items():
        share = figure_text(Figure(**row["by_score"][f"{MIN_SCORE:g}"]["rate"]))
        assert f"| `{source}` | {row['shows']} | {row['n']} | {row['n_groups']} | {share} |" in page
    views = json.loads((ROOT / "results/clips.json").read_text())["views"]
    for whole, crop in zip(views["frame"], views["face"], strict=True):
        label = f"fake: {whole['generator']}" if whole["label"] else "real"
        cells = [f"{row['logit']:.2f} `{row['verdict']}`" for row in (whole, crop)]
        assert f"| `{whole['path']}` | {label} | {cells[0]} | {cells[1]} |" in page
