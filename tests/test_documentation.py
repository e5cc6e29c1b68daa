"""The documentation site: every page is reachable, what is generated is whole, and what it shows runs."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from tristream.cli.app import app

ROOT = Path(__file__).parents[1]
PAGES = runpy.run_path(str(ROOT / "tools" / "docs_pages.py"))["PAGES"]


def entries(tree: Any) -> Iterator[str]:
    match tree:
        case str():
            yield tree
        case dict():
            for value in tree.values():
                yield from entries(value)
        case list():
            for value in tree:
                yield from entries(value)


def test_the_navigation_lists_every_page_once() -> None:
    navigation = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    written = [str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")]
    assert sorted(entries(navigation)) == sorted([*written, *PAGES])
    assert [section for entry in navigation for section in entry] == [
        "Home", "Tutorial", "How to", "Reference", "Explanation",
    ]  # fmt: skip


def test_the_reference_has_every_command_and_option() -> None:
    text = PAGES["reference/cli.md"]()
    todo = [("tristream", typer.main.get_command(app))]
    while todo:
        name, command = todo.pop()
        assert f"`{name}`" in text or name == "tristream"
        for option in command.params:
            words = [*option.opts, *filter(None, [option.metavar])]  # an argument stands under its metavar
            assert any(word in text for word in words), f"{name} {words}"
        todo += [(f"{name} {word}", inner) for word, inner in getattr(command, "commands", {}).items()]
    assert "[bold]" not in text
    assert "```bash\ntristream predict photo.jpg\n```" in text


def test_the_card_has_no_link_that_leaves_the_site() -> None:
    card = PAGES["explanation/model-card.md"]()
    assert card.startswith("# Model card")
    assert re.findall(r"\]\((?!https?:|#)", card) == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs").rglob("*.md")), ids=lambda page: page.name)
def test_names_that_the_reference_shows_exist(page: Path) -> None:
    for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        module, _, last = name.rpartition(".")
        try:
            __import__(name)
        except ModuleNotFoundError:
            assert hasattr(__import__(module, fromlist=[last]), last), name


def test_the_python_page_runs(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
    page = (ROOT / "docs/how-to/python.md").read_text(encoding="utf-8")
    program = "\n".join(re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "gone.jpg None" in done.stdout
    assert "gone.safetensors: no such checkpoint" in done.stdout
