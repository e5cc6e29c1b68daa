"""Whoever opens a package finds in its docstring what each of its modules is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGES = (
    "attacks",
    "benchmark",
    "data",
    "evaluation",
    "export",
    "images",
    "metrics",
    "report",
    "runtime",
    "training",
)
SOURCE = Path(__file__).parents[1] / "src/tristream"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_is_named(package: str) -> None:
    folder = SOURCE / package
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    parts = {path.stem for path in folder.glob("*.py")} | {path.parent.name for path in folder.glob("*/__init__.py")}
    assert parts - {"__init__"} <= set(re.findall(r"\w+", text))
    first_words = {line.split("  ")[0].rstrip("/") for line in text.splitlines()[2:]}
    assert first_words <= parts, "nothing is named that is not there"
