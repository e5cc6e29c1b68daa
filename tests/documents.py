"""The documents of the repository, and the fenced blocks in them."""

from __future__ import annotations

import os
import re
import shlex
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples/README.md",
    *sorted(ROOT.glob("docs/**/*.md")),
]
SHELLS = ("bash", "sh", "shell", "console")


def blocks(document: Path) -> list[tuple[str, str]]:
    """Language and text of each fenced block that names one, in order; what is indented, as in a list, moves left."""
    found = re.findall(r"^( *)```(\w+)\n(.*?)^\1```$", document.read_text(encoding="utf-8"), re.M | re.S)
    return [(language, textwrap.dedent(text)) for _, language, text in found]


def inline_commands(document: Path) -> list[str]:
    """The command lines of ours that stand within its sentences and tables."""
    found = re.findall(r"`([^`\n]+)`", document.read_text(encoding="utf-8"))
    return [line.replace("…", "") for line in found if is_ours(line)]


def shell_lines(text: str) -> list[str]:
    """The command lines of a shell block; a line that ends in a backslash is joined with the next."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def is_ours(line: str) -> bool:
    """Whether a command line calls tristream, after assignments of environment variables if need be."""
    return re.match(r"(\w+=\S+ )*tristream(\s|$)", line) is not None


def parsed(line: str) -> tuple[dict[str, str], list[str]]:
    """The environment and the words that tristream gets of such a line, less what is done with its output."""
    words = shlex.split(line.partition(" > ")[0], comments=True)
    named = words.index("tristream")
    environment = dict(word.split("=", 1) for word in words[:named])
    return {name: os.path.expandvars(value) for name, value in environment.items()}, words[named + 1 :]
