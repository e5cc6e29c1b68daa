"""The README's tables and figure are in step with records and code; planted records fill each kind of table."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.attacks.planted import planted_opened, planted_pictures
from tests.report.planted import MASKED, PERTURBED, plant_run
from tristream.attacks.budget import Budget, attacks
from tristream.attacks.run import attack
from tristream.benchmark.report import BenchmarkReport, Contestant, Measurement, Skipped, Spread
from tristream.errors import UsageError
from tristream.evaluation.checkpoint import PictureSet
from tristream.evaluation.run_folder import read_run
from tristream.metrics import binary

ROOT = Path(__file__).parents[1]


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The tool, with an empty folder of results and a document of its own."""
    monkeypatch.syspath_prepend(ROOT / "tools")
    import readme_tables

    monkeypatch.setattr(readme_tables, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(readme_tables, "DOCUMENTS", (tmp_path / "README.md",))
    return readme_tables


def lines(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]


def status(module: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["tool", *words])
    with pytest.raises(SystemExit) as exit_:
        module.main()
    return exit_.value.code


@pytest.mark.parametrize("tool", ["readme_tables", "architecture_figure"])
def test_what_is_committed_is_what_the_tool_makes(tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "tools")
    assert status(__import__(tool), monkeypatch, "--check") == 0


def test_every_table_has_a_place(tables: ModuleType) -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "README.md", ROOT / "docs/measured.md")]
    assert sorted(name for text in texts for _, name, _ in tables.MARKED.findall(text)) == sorted(tables.TABLES)
    assert sum(text.count("<!-- table:") for text in texts) == len(tables.TABLES), "each is closed"


def test_what_was_not_run_is_a_line_or_a_dash(tables: ModuleType) -> None:
    empty = {name: make() for name, make in tables.TABLES.items()}
    assert set(lines(empty.pop("baselines"))[2][1:]) == {"—"}
    assert all(
        re.fullmatch(r"Not run yet: `(python tools/protocol.py .* --steps \S+|tristream benchmark .*)` makes.*\n", t)
        for t in empty.values()
    )


def test_planted_records_fill_the_tables(tables: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = tmp_path / "results"
    for row in ("shipped", "xception"):
        detector = {"initialisation": "ImageNet", "streams": ["spatial", "frequency"]}
        plant_run(results / row / "corpus-test", row, detector=detector)
        plant_run(results / row / "robustness", row, conditions=PERTURBED)
    planted = plant_run(results / "shipped/unseen", "shipped", pictures="unseen/index.csv")
    plant_run(results / "shipped/masked", "shipped", conditions=MASKED)
    data = PictureSet(planted_pictures(tmp_path), "test", 24)
    chosen = [one for one in attacks(["fgsm"], Budget(24, 12, 3, 15)) if one.name == "fgsm-1"]
    attack(planted_opened(tmp_path / "planted.safetensors"), data, results / "shipped/attack", chosen, resamples=50)
    for streams in ("spatial", "frequency", "spatial+frequency"):
        plant_run(results / "multistream/retrained" / streams / "evaluation", f"multistream-{streams}",
                  detector={"streams": streams.split("+")})  # fmt: skip

    rows = {cells[0]: cells[1:] for cells in lines(tables.TABLES["baselines"]())[2:]}
    assert list(rows) == [
        name if name in ("tristream, as shipped", "Xception") else f"{name}<sup>1</sup>"
        for name in tables.DETECTORS.values()
    ]
    start, figures = rows["Xception"][0], rows["tristream, as shipped"][1:]
    unseen = planted.conditions["alike"].overall.figures["auroc"]
    assert (start, figures[3]) == ("ImageNet", f"{unseen.value:.3f} [{unseen.low:.3f}, {unseen.high:.3f}]")
    assert rows["Xception"][3:] == ["—", "—"]
    assert "corpus test split: 28 real, 28 fake" in tables.TABLES["baselines"]()

    assert [cells[:2] for cells in lines(tables.TABLES["robustness"]())] == [
        ["perturbation", "setting"], ["---", "---"], ["none", "as delivered"], ["jpeg", "quality 30"],
    ]  # fmt: skip
    assert len(lines(tables.TABLES["robustness-whole"]())) == 2 + 3
    assert [len(cells) for cells in lines(tables.TABLES["masked"]())] == [4] * 5, "streams, n, n, AUROC"
    assert [len(cells) for cells in lines(tables.TABLES["masked-whole"]())] == [5] * 5
    assert len(lines(tables.TABLES["retrained"]())) == 2 + 3 * 2
    assert [cells[:2] for cells in lines(tables.TABLES["attacks"]())[2:]] == [
        ["FGSM: epsilon 1/255", direction] for direction in ("hide a fake", "accuse a real")
    ]
    assert len(lines(tables.TABLES["attacks-whole"]())) == 2 + 4, "and without an attack"
    assert "Made from:" in tables.TABLES["attacks-whole"]()

    document = tmp_path / "README.md"
    document.write_text("# T\n<!-- table: baselines -->\nold\n<!-- end of table -->\nkept\n", encoding="utf-8")
    assert status(tables, monkeypatch, "--check") == "README.md: out of date; run python tools/readme_tables.py"
    assert (status(tables, monkeypatch), status(tables, monkeypatch, "--check")) == (0, 0)
    text = document.read_text(encoding="utf-8")
    assert "| Xception | ImageNet |" in text
    assert "old" not in text
    assert text.endswith("<!-- end of table -->\nkept\n")


def test_speed_is_that_of_the_record_from_bytes_to_verdict(tables: ModuleType, tmp_path: Path) -> None:
    def measured(engine: str, threads: int, rate: float, stage: str = "end_to_end", batch: int = 1) -> Measurement:
        spread = Spread(median=rate, least=rate - 1, largest=rate + 1)
        return Measurement(stage=stage, engine=engine, threads=threads, batch=batch, pictures_per_second=spread,
                           ms_per_picture=1000 / rate, ratio=None, counted=9)  # fmt: skip

    report = BenchmarkReport(
        command="tristream benchmark", model="planted", environment={"processor": "a processor"}, cores=4,
        pictures="drawn", reference="torch-eager", rounds=3, seconds=1,
        engines=tuple(
            Contestant(name=name, engine="", open_s=1, logit_difference=None) for name in ("torch-eager", "onnx-int8")
        ),
        skipped=(Skipped(name="torch-compile", reason="no compiler"),),
        measurements=(
            measured("torch-eager", 1, 5), measured("onnx-int8", 1, 10), measured("onnx-int8", 4, 30),
            measured("onnx-int8", 1, 99, "forward"), measured("onnx-int8", 1, 88, batch=8),
        ),
    )  # fmt: skip
    (tmp_path / "results").mkdir()
    (tmp_path / "results/benchmark.json").write_text(report.model_dump_json(), encoding="utf-8")
    text = tables.TABLES["speed"]()
    assert lines(text) == [
        ["engine", "1 thread", "4 threads"],
        ["---", "---:", "---:"],
        ["onnx-int8", "10.0 [9.0, 11.0]", "30.0 [29.0, 31.0]"],
        ["torch-eager", "5.0 [4.0, 6.0]", "—"],
    ]
    assert "on a processor, 4 cores; drawn." in text
    assert "torch-compile: no compiler" in text


def test_other_pictures_are_never_in_one_table(tables: ModuleType, tmp_path: Path) -> None:
    plant_run(tmp_path / "results/shipped/unseen", "shipped")
    plant_run(tmp_path / "results/xception/unseen", "xception", pictures="other/index.csv")
    with pytest.raises(UsageError, match="unseen: not the same pictures"):
        tables.TABLES["baselines"]()
    whole = tables.TABLES["unseen"]()
    assert "set/index.csv, split test:" in whole
    assert "other/index.csv, split test:" in whole


def test_the_figure_is_small_and_its_text_is_text() -> None:
    figure = (ROOT / "docs/figures/architecture.svg").read_text(encoding="utf-8")
    assert len(figure.encode()) < 30_000
    assert all(f">{words}</text>" in figure for words in ("rfft2", "irfft2", "learnable mask", "attention", "verdict"))
    assert "prefers-color-scheme: dark" in figure


def test_what_bfloat16_changes_is_what_the_page_says() -> None:
    places = ("corpus-test", "robustness")
    runs = [read_run(ROOT / "results/shipped" / place) for place in places]
    assert [run.record.precision for run in runs] == ["32", "bf16"]
    exact, rounded = (run.predictions[run.predictions["condition"] == "delivered"].set_index("id") for run in runs)
    both = exact.loc[rounded.index]
    change = (rounded["logit"] - both["logit"]).abs()
    aurocs = [f"{binary.auroc(table['logit'], table['label']):.3f}" for table in (rounded, both)]
    page = " ".join((ROOT / "docs/measured.md").read_text().split())
    assert (
        f"on the {len(both)} pictures of robustness, by {change.mean():.3f} on average and {change.max():.2f} at most, "
        f"AUROC {aurocs[0]} in place of {aurocs[1]}."
    ) in page


def test_one_step_says_little_of_f3net_as_the_readme_says() -> None:
    conditions = json.loads((ROOT / "results/f3net/attack/metrics.json").read_text())["conditions"]
    fgsm, pgd = (conditions[name]["attack"]["directions"]["accuse"] for name in ("fgsm-8", "pgd-8"))
    assert [found["figures"]["success_rate"]["value"] for found in (fgsm, pgd)] == [0.0, 1.0]
    assert fgsm["n_right"] == pgd["n_right"] >= 20
    assert "at 8/255 it accuses none of the real pictures that F3Net calls right" in (ROOT / "README.md").read_text()


def test_every_look_at_unseen_pictures_is_listed() -> None:
    listed = {
        (look["row"], look["sha256"], place)
        for look in json.loads((ROOT / "results/unseen-looks.json").read_text())["looks"]
        for place in look["places"]
    }
    recorded = {
        (
            *path.relative_to(ROOT / "results").parts[:1],
            json.loads(path.read_text())["checkpoint"]["sha256"],
            place.name,
        )
        for place in (ROOT / "results").glob("*/*unseen")
        for path in place.rglob("record.json")
    }
    assert recorded <= listed, "run python tools/unseen_looks.py once the records are committed"
    of_views = [row for row, _, place in listed if (row, place) == ("shipped", "unseen")]
    assert len(of_views) >= 4, "0.1, 0.2, 0.2.1 and 0.3, whose records were replaced"
