"""Pages of the documentation site that are made while it is built: the command line's reference and the model card.

A MkDocs hook (`hooks` in mkdocs.yml). `python tools/docs_pages.py` prints the reference.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import typer
import typer.cli

from tristream.cli.app import app

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

CARD = Path(__file__).parents[1] / "src" / "tristream" / "weights" / "MODEL_CARD.md"


def command_line_reference() -> str:
    """Markdown of all commands, their arguments and options, as `--help` has them."""
    command = typer.main.get_command(app)
    context = command.make_context("tristream", [], resilient_parsing=True)
    text = typer.cli.get_docs_for_click(obj=command, ctx=context, name="tristream", title="Command line")
    text = re.sub(r"\[bold\](.*?)\[/bold\]", r"**\1**", text)
    return re.sub(
        r"^(tristream .+)$", r"```bash\n\1\n```", text, flags=re.MULTILINE
    )  # examples stand on lines of their own


def model_card() -> str:
    """Markdown of the shipped detector's card; what links into the repository becomes a name."""
    return re.sub(r"\[([^\]]+)\]\((?!https?:|#)[^)]+\)", r"\1", CARD.read_text(encoding="utf-8"))


PAGES = {"reference/cli.md": command_line_reference, "explanation/model-card.md": model_card}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """MkDocs calls this when it has found the pages that are files."""
    from mkdocs.structure.files import File

    for path, write in PAGES.items():
        files.append(File.generated(config, path, content=write()))
    return files


if __name__ == "__main__":
    print(command_line_reference())
