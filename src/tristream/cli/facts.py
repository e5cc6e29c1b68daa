"""Facts as people read them: a name on the left, words on the right."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TextIO


def print_facts(
    facts: Iterable[tuple[str, str]], stream: TextIO | None = None, marks: dict[str, str] | None = None
) -> None:
    """Print (name, words) rows on `stream` (default: standard output), wrapped and coloured on a terminal only.

    marks: colour of a name's first word, as rich names it.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = list(facts)
    stream = stream or sys.stdout
    if not stream.isatty():
        width = max((len(name) for name, _ in rows), default=0)
        stream.writelines(f"{name:<{width}}  {words}".rstrip() + "\n" for name, words in rows)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, words in rows:
        shown, first = Text(name), name.partition(" ")[0]
        shown.stylize((marks or {}).get(first, ""), 0, len(first))
        table.add_row(shown, Text(words))
    Console(file=stream).print(table)
