"""`tristream data`: layouts, index, verify, download on the command line."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.data.miniatures import MINIATURES, ffhq, put_pictures, sofake
from tests.data.server import Server
from tristream.cli.app import app
from tristream.cli.progress import progress_bar
from tristream.data.manifest import Manifest
from tristream.data.readers import READERS
from tristream.data.readers.mix import Mix, MixReader

SEED_MIX = Path(__file__).parents[2] / "configs" / "mixes" / "seed.yaml"


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


def test_layouts_lists_all_and_explains_one() -> None:
    listed = _run("layouts")
    assert listed.exit_code == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()[: len(READERS)]] == list(READERS)
    explained = _run("layouts", "ffpp", "coco").stdout
    for words in (
        "original_sequences/youtube",
        "Technical University of Munich",
        "compression=c23",
        "val2017",
        "Obtain",
    ):
        assert words in explained
    wrong = _run("layouts", "imagenet")
    assert wrong.exit_code == 2
    assert "unknown layout 'imagenet'; there are: mix, csv" in wrong.stderr


def test_layouts_as_json_hold_the_options() -> None:
    facts = json.loads(_run("layouts", "--format", "json").stdout)
    assert list(facts) == list(READERS)
    assert facts["ffpp"]["options"]["compression"]["default"] == "c23"
    assert facts["coco"]["automatic"]
    assert not facts["celebdf"]["automatic"]


def test_index_records_what_is_missing(tmp_path: Path) -> None:
    mini = ffhq(tmp_path / "faces")
    assert mini.victim is not None
    mini.victim.unlink()
    words = ["index", mini.root, "-o", tmp_path / "index.parquet", "--set", "expected=12"]
    refused = _run(*words)
    assert refused.exit_code == 2
    assert "found 11 of 12 pictures; missing: 00007" in refused.stderr
    assert not (tmp_path / "index.parquet").exists()
    done = _run(*words, "--allow-missing")
    assert done.exit_code == 0, done.output
    assert "missing: found 11 of 12 pictures; 00007" in done.stdout
    record = json.loads((tmp_path / "index.parquet.record.json").read_text())
    assert (record["layout"], record["expected"], record["found"], record["missing"]) == ("ffhq", 12, 11, ["00007"])
    assert record["digest"] == Manifest.read(tmp_path / "index.parquet").digest()
    assert str(tmp_path) not in json.dumps(record), "where the data lie is nobody's business"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["faces", "index.parquet", "index.parquet.record.json"]


@pytest.mark.parametrize(
    ("output", "words"),
    [("x.json", "a manifest is a .csv or a .parquet file"), ("out/index.csv", "the pictures lie in"),
     ("folder.csv", "is a folder")],
)  # fmt: skip
def test_index_finds_a_wrong_output_before_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, words: str
) -> None:
    put_pictures(tmp_path / "data", "real/a.png", "fake/b.png")
    (tmp_path / "folder.csv").mkdir()
    monkeypatch.setattr("tristream.data.readers.reader.read_files", None)
    refused = _run("index", tmp_path / "data", "-o", tmp_path / output)
    assert refused.exit_code == 2
    assert words in refused.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["data", "folder.csv"]


def test_index_names_groups_that_lie_in_several_splits(tmp_path: Path) -> None:
    put_pictures(tmp_path / "data", "train/real/a.png", "train/fake/b.png", "test/real/c.png", "test/fake/d.png")
    (tmp_path / "data/test/fake/d.png").write_bytes((tmp_path / "data/train/fake/b.png").read_bytes())
    done = _run("index", tmp_path / "data", "-o", tmp_path / "index.csv")
    assert done.exit_code == 0, done.output
    assert "1 groups lie in several splits: " in done.stdout
    assert "tristream data split --replace" in done.stdout


def test_file_names_are_no_markup_on_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(sys, "stderr", stream := Terminal())
    with progress_bar("reading") as show:
        show(1, 1, "a[/b] [raw].png")
    assert "a[/b] [raw].png" in stream.getvalue()


def test_index_takes_pictures_out_of_tables(tmp_path: Path) -> None:
    sofake(tmp_path / "ood")
    refused = _run("index", tmp_path / "ood", "-o", tmp_path / "index.csv")
    assert refused.exit_code == 2
    assert "--extract-to FOLDER" in refused.stderr
    done = _run("index", tmp_path / "ood", "-o", tmp_path / "index.csv", "--extract-to", tmp_path / "pictures")
    assert done.exit_code == 0, done.output
    assert len(Manifest.read(tmp_path / "index.csv")) == 6
    ffhq(tmp_path / "faces")
    wrong = _run("index", tmp_path / "faces", "-o", tmp_path / "x.csv", "--extract-to", tmp_path / "pictures")
    assert "the pictures of the layout ffhq are files already" in wrong.stderr


def test_index_reads_a_list_whose_labels_are_the_other_way_round(tmp_path: Path) -> None:
    mini = MINIATURES["csv"](tmp_path / "data")
    words = ["--set", "path_column=file", "--set", "label_column=target", "--set", "real=[1]", "--set", "fake=[0]",
             "--set", f"pictures={mini.root.parent}"]  # fmt: skip
    done = _run("index", mini.root, "-o", tmp_path / "index.csv", *words)
    assert done.exit_code == 0, done.output
    assert Manifest.read(tmp_path / "index.csv").table["label"].tolist() == [0, 1, 1]
    record = json.loads((tmp_path / "index.csv.record.json").read_text())
    assert record["options"] == {"path_column": "file", "label_column": "target", "real": [1], "fake": [0]}


def test_every_layout_stands_in_the_documents() -> None:
    page = (SEED_MIX.parents[2] / "docs" / "layouts.md").read_text(encoding="utf-8")
    assert [name for name in READERS if f"| `{name}` |" not in page] == []


def test_index_names_a_wrong_option(tmp_path: Path) -> None:
    ffhq(tmp_path / "faces")
    for option, words in {"expect=12": "options of the layout ffhq", "expected": "expected name=value"}.items():
        result = _run("index", tmp_path / "faces", "-o", tmp_path / "x.csv", "--set", option)
        assert result.exit_code == 2
        assert words in result.stderr


def test_verify_ends_with_1_when_something_is_wrong(tmp_path: Path) -> None:
    put_pictures(tmp_path, "real/a.png", "real/b.png")
    assert _run("index", tmp_path, "-o", tmp_path / "index.csv").exit_code == 0
    fine = _run("verify", tmp_path / "index.csv")
    assert (fine.exit_code, fine.stdout) == (0, "2 files: 2 as recorded\n")
    (tmp_path / "real/b.png").unlink()
    wrong = _run("verify", tmp_path / "index.csv")
    assert wrong.exit_code == 1
    assert wrong.stdout == "real/b.png: is not there\n2 files: 1 as recorded, 1 missing\n"
    found = json.loads(_run("verify", tmp_path / "index.csv", "--format", "json").stdout)
    assert found["findings"] == [{"path": "real/b.png", "fault": "missing", "detail": ""}]


@pytest.mark.parametrize("name", [name for name in READERS if not READERS[name].layout.automatic])
def test_download_prints_the_steps_where_it_cannot_fetch(name: str) -> None:
    result = _run("download", name)
    assert result.exit_code == 0
    assert READERS[name].layout.obtain in result.stdout
    assert READERS[name].layout.terms in result.stdout


def test_download_fetches_a_data_set_of_the_hub_that_index_reads(hub: Server, tmp_path: Path) -> None:
    shards = MINIATURES["huggingface"](tmp_path / "made").root
    hub.hub(
        "me/set", {path.relative_to(shards).as_posix(): path.read_bytes() for path in sorted(shards.rglob("*.parquet"))}
    )
    folder = tmp_path / "set"
    listed = _run("download", "huggingface", folder, "--repository", "me/set", "--dry-run")
    assert "2 files," in listed.stdout
    assert not folder.exists()
    result = _run("download", "huggingface", folder, "--repository", "me/set", "--include", "data/train*")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("1 files, ")
    done = _run("index", folder, "-o", tmp_path / "index.csv", "--extract-to", tmp_path / "pictures")
    assert done.exit_code == 0, done.output
    assert len(Manifest.read(tmp_path / "index.csv")) == 4


def test_download_says_what_it_needs(hub: Server, tmp_path: Path) -> None:
    for words, message in {
        ("huggingface", tmp_path): "name a data set on the Hub: --repository OWNER/NAME",
        ("coco",): "say where the files go: tristream data download coco FOLDER",
        ("coco", tmp_path, "--max-gb", "0.1"): "1 files of 0.8 GB, more than --max-gb 0.1",
        ("sofake", tmp_path, "--repository", "me/nothing"): "the server says 404 Not Found; is the name right?",
    }.items():
        result = _run("download", *words)
        assert result.exit_code == 2, words
        assert message in result.stderr


def test_the_seed_s_mix_is_a_mix_of_layouts_that_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tristream.config import load_config
    from tristream.data.readers import make_reader

    assert MixReader.matches(SEED_MIX)
    mix = load_config(Mix, SEED_MIX)
    assert [source.layout for source in mix.sources] == ["ffhq", "coco", "diffusiondb", "genimage", "forensynths"]
    for source in mix.sources:
        make_reader(source.layout, source.options)
    assert str(mix.sources[0].root) == "data/ffhq"


def test_without_the_data_extra_it_says_so_in_one_line(tmp_path: Path) -> None:
    program = "import sys; sys.modules['pandas'] = None; from tristream.cli.app import main; main()"
    words = [sys.executable, "-c", program, "data", "layouts"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert (
        done.stderr.strip()
        == "MissingExtraError: working with manifests needs the 'data' extra: pip install 'tristream[data]'"
    )
