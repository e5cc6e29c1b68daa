"""Every command and every Python block of the documents runs, page by page, in a folder that holds tiny data."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import shellingham
from typer.testing import CliRunner

from tests.data.server import Server
from tests.docs import workshop as w
from tests.documents import DOCUMENTS, ROOT, SHELLS, blocks, inline_commands, is_ours, parsed, shell_lines
from tristream.cli.app import app

LIES_THERE: dict[str, tuple[Callable[[], None], ...]] = {
    "README.md": (w.my_pictures,),
    "docs/attacks.md": (w.detector, w.photos),
    "docs/audit.md": (w.leaky_photos,),
    "docs/data.md": (w.my_pictures, w.indexed),
    "docs/evaluation.md": (w.detector, w.photos, w.runs, w.protocols),
    "docs/export.md": (w.detector, w.photos, w.photo),
    "docs/how-to/benchmark.md": (w.detector, w.photos, w.exported),
    "docs/how-to/completion.md": (),
    "docs/how-to/fine-tune.md": (w.my_pictures, w.album),
    "docs/how-to/offline.md": (w.photo,),
    "docs/how-to/python.md": (w.detector,),
    "docs/how-to/thresholds.md": (w.my_pictures, w.album),
    "docs/layouts.md": (w.genimage_folder, w.faceforensics, w.data_sets_of_the_mix),
    "docs/reporting.md": (w.detector, w.photos, w.run_of_mine, w.runs, w.scores),
    "docs/training.md": (w.training_pictures,),
    "docs/tutorial/first-minute.md": (w.album,),
    "docs/verdicts.md": (),
    "docs/video.md": (w.clips, w.faceforensics),
}
"""What a reader of the page has, besides a clone. A page that is not here fails."""
GIVEN: dict[str, Callable[[], dict[str, object]]] = {"docs/audit.md": w.picture_in_memory}
"""Names that the page's Python blocks take as given."""
APPENDED = {
    "tristream attack": "--pictures 2 --cw-pictures 2 --cw-search-steps 1 --cw-iterations 1",
    "tristream benchmark": "--seconds 0.01 --rounds 1 --batch 1 --engines torch-eager,onnx-int8 "
    "--checkpoint mine.safetensors --onnx mine.int8.onnx",  # the shipped detector takes a minute, torch-compile minutes
    "DATA_ROOT=$PWD/data tristream data index configs/mixes/seed.yaml": "--allow-missing",  # FFHQ has 70,000 pictures
}
"""Words that command lines which begin so get in addition."""
ENDS_WITH = {"tristream audit photos/index.csv --fail-above 0.6": 3}
"""Exit status, as the page says, where it is not 0."""
RUN_ELSEWHERE = {"tristream predict examples/": "tests/test_readme.py, which looks at what is printed"}
ONCE = ("tristream doctor", "tristream info")
"""Lines that do the same on every page: they run on the first one."""
LEFT = {
    "docs/attacks.md": ("results/mine-attack/checks.json", "report/report.md"),
    "docs/audit.md": ("photos-equalised/recipe.json",),
    "docs/evaluation.md": ("results/ablation/masked/DONE", "results/ablation/retrained/retrained.json"),
    "docs/layouts.md": ("GenImage/midjourney.parquet.record.json", "coco/val2017/000000000139.jpg"),
    "docs/reporting.md": (
        *(f"report/report.{suffix}" for suffix in ("md", "tex", "csv", "html")),
        "report/theirs/DONE",
        "report/their-detector/DONE",
    ),
    "docs/training.md": ("runs/three/config.yaml", "runs/three-seeds/seed-4/checkpoints/best.safetensors"),
    "docs/video.md": ("timelines", "ffpp-faces/frames.csv", "ffpp-crf40/manifest.csv"),
}
"""Files that a page speaks of and that are there in the end, besides those that its commands name."""
OUTPUTS = ("-o", "--out", "--timeline", "--extract-to")
"""Options that name what is there afterwards."""
OF_RECORDS = sorted(
    {line for page in DOCUMENTS for line in inline_commands(page) if line.startswith("tristream report results/*")}
)
"""Commands that make the committed tables, and more, of the committed records."""
NOT_OURS = ("pip ", "pytest ", ".ci/run", "python tools/")
"""How other lines of shell blocks begin."""


def shell(page: Path) -> list[str]:
    """All command lines of a page."""
    return [line for language, text in blocks(page) if language in SHELLS for line in shell_lines(text)]


def pages() -> list[str]:
    """Those with a command of ours or a Python block."""
    return [
        str(page.relative_to(ROOT))
        for page in DOCUMENTS
        if any(map(is_ours, shell(page))) or any(language == "python" for language, _ in blocks(page))
    ]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: Server) -> Path:
    """The current folder, a clone. The home folder lies in it, the weights shipped for research are its tiny ones, and
    an audit has two folds."""
    monkeypatch.chdir(tmp_path)
    w.clone()
    w.data_sets_of_the_network(hub, monkeypatch)
    monkeypatch.setenv("PWD", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(shellingham, "detect_shell", lambda *_: ("bash", "/bin/bash"))
    monkeypatch.setattr("tristream.data.audit.leak.FOLDS", 2)
    for module in ("evaluation.checkpoint", "export.checkpoint"):
        monkeypatch.setattr(f"tristream.{module}.shipped_weights", lambda: tmp_path / w.SHIPPED)
    return tmp_path


def run(line: str) -> None:
    """Run a command line, and look for what it says that it writes."""
    more = next((words for start, words in APPENDED.items() if line.startswith(start)), "")
    environment, words = parsed(line)
    done = CliRunner().invoke(app, [*words, *more.split()], env=environment, prog_name="tristream")
    wanted = next((status for start, status in ENDS_WITH.items() if line.startswith(start)), 0)
    assert done.exit_code == wanted, f"{line} {more}\n{done.output}{done.exception!r}"
    for option, value in itertools.pairwise(words):
        assert option not in OUTPUTS or Path(value).exists(), f"{line}: there is no {value}"


@cache
def run_once(line: str) -> None:
    """Run a command line unless it has been run."""
    run(line)


@pytest.mark.parametrize("page", pages())
def test_the_page_runs(page: str, folder: Path) -> None:
    for lay in LIES_THERE[page]:
        lay()
    names = GIVEN[page]() if page in GIVEN else {}
    for language, text in blocks(ROOT / page):
        if language == "python":
            exec(compile(text, page, "exec"), names)
        for line in shell_lines(text) if language in SHELLS else ():
            if is_ours(line) and not line.startswith(tuple(RUN_ELSEWHERE)):
                (run_once if line in ONCE else run)(line)
    assert [name for name in LEFT.get(page, ()) if not Path(name).exists()] == []


def test_the_tables_name_what_there_is() -> None:
    lines = [line for page in DOCUMENTS for line in shell(page)]
    assert set(LIES_THERE) == set(pages())
    assert {*GIVEN, *LEFT} <= set(LIES_THERE)
    for start in (*APPENDED, *ENDS_WITH, *RUN_ELSEWHERE, *ONCE):
        assert any(line.startswith(start) for line in lines), start


def test_other_lines_are_known() -> None:
    others = [line for page in DOCUMENTS for line in shell(page) if not is_ours(line)]
    assert [line for line in others if not line.startswith(NOT_OURS)] == []


@pytest.mark.parametrize("line", OF_RECORDS)
def test_reports_of_the_records_run(line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    _, words = parsed(line)
    words = [path for word in words for path in sorted(map(str, ROOT.glob(word))) or [word]]
    done = CliRunner().invoke(app, [*words, "-o", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "report.html").is_file()
