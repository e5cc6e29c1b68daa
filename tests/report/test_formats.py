"""Names that no format may take at their word are escaped, and the page is whole and needs nothing else."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from tests.report.planted import HOSTILE, MASKED, PERTURBED, plant_run, planted_predictions
from tristream.evaluation.run_folder import find_runs
from tristream.report.charts import Axis, Series, line_chart
from tristream.report.contents import MEASURES
from tristream.report.plots import Bootstrap, plots, reliability_series
from tristream.report.report import FORMATS, make_report
from tristream.report.runs import arrange


def test_latex_is_escaped(tmp_path: Path) -> None:
    plant_run(tmp_path / "runs/ours")
    text = FORMATS["latex"](make_report(find_runs([tmp_path])))
    assert (
        r"\textless{}script\textgreater{}alert(1)\textless{}/script\textgreater{} \& a\_b \%50 \textbar{} "
        r"\#\{x\} \textasciitilde{}\textasciicircum{}\textbackslash{} & 28 & 14 &" in text
    )
    for line in text.splitlines():
        if line.startswith("%"):
            continue
        assert not re.search(r"(?<!\\)[%#]", line)
        assert line.count("{") - line.count(r"\{") == line.count("}") - line.count(r"\}")
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == text.count(r"\end{table}") > 0


def test_markdown_is_escaped_and_a_command_stays_as_it_is(tmp_path: Path) -> None:
    plant_run(tmp_path / "runs/hostile", "`x` | <b>")
    text = FORMATS["markdown"](make_report(find_runs([tmp_path])))
    assert "| &lt;script&gt;alert(1)&lt;/script&gt; &amp; a\\_b %50 \\| #{x} \\~^\\\\ | 28 | 14 |" in text
    assert "| \\`x\\` \\| &lt;b&gt; | as delivered |" in text
    assert "`` tristream evaluate --checkpoint `x` | <b>.safetensors --out hostile ``" in text
    (row,) = (line for line in text.splitlines() if "&lt;b&gt; | as delivered |" in line)
    assert row.count("|") - row.count("\\|") == 1 + 4 + len(MEASURES)


class Page(HTMLParser):
    """Collects tags and attributes, and checks that what is opened is closed."""

    VOID = ("meta", "br", "path", "rect", "circle")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_is_whole_needs_nothing_and_escapes_names(tmp_path: Path) -> None:
    plant_run(tmp_path / "runs/hostile", HOSTILE, conditions=PERTURBED | {"alike": {}} | MASKED)
    page = Page(FORMATS["html"](make_report(find_runs([tmp_path]), title=HOSTILE, reported=True)))
    assert page.open == []
    tags = [tag for tag, _ in page.tags]
    assert "script" not in tags
    assert tags.count("svg") >= 8
    for tag, attributes in page.tags:
        assert not {"src", "srcset", "data", "action"} & set(attributes), tag
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#")
    assert not re.search(r"url\(|@import", "".join(page.text))
    assert HOSTILE in "".join(page.text)
    targets = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {(a["href"] or "")[1:] for t, a in page.tags if t == "a"} <= targets
    assert all(a.get("scope") in ("col", "row") for t, a in page.tags if t == "th")
    assert tags.count("caption") == tags.count("table")
    assert all(a.get("role") == "img" and a.get("aria-label") for t, a in page.tags if t == "svg")


def test_a_chart_alone_is_an_svg_file_that_brings_its_colours() -> None:
    series = [Series(HOSTILE, lines=[[(0.0, 0.2), (1.0, 0.9)]], dots=[(0.5, 0.5, 4.0)])]
    file = line_chart(HOSTILE, Axis("a < b"), Axis("y"), series, diagonal=True).file
    drawing = ElementTree.fromstring(file)
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
    assert {"style", "title", "circle"} <= {element.tag.rpartition("}")[2] for element in drawing}
    assert "var(" not in file


def test_plots_tell_their_numbers_of_pictures_and_curves_have_bands(tmp_path: Path) -> None:
    plant_run(tmp_path / "runs/ours", conditions=PERTURBED | {"alike": {}})
    (pictures,) = arrange(find_runs([tmp_path]))
    drawn = {plot.title: plot.svg for plot in plots(pictures)}
    counts = {label: int((planted_predictions({"delivered": 1.0})["label"] == label).sum()) for label in (0, 1)}
    assert all(f"{counts[0]} real, {counts[1]} fake" in title for title in drawn), list(drawn)
    banded = [title for title, svg in drawn.items() if 'fill-opacity=".15"' in svg]
    for words in ("Reliability", "Risk and coverage", "Robustness"):
        assert any(title.startswith(words) for title in banded), words


def test_a_curve_of_few_pictures_has_no_band(tmp_path: Path) -> None:
    plant_run(tmp_path / "runs/ours")
    (run,) = find_runs([tmp_path])
    scored = run.pictures["delivered"].scored
    few = scored[np.r_[0:4, len(scored) - 4 : len(scored)]]
    assert reliability_series("few", few, bootstrap=Bootstrap(20, 0)).band == []
