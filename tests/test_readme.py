"""Documents tell the truth: the tristream commands that they show exist, with these options, and the first ones run."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from tests.documents import DOCUMENTS, ROOT, SHELLS, blocks, inline_commands, is_ours, parsed, shell_lines
from tristream.cli.app import app

CARD = ROOT / "src/tristream/weights/MODEL_CARD.md"


def shell_blocks(document: Path) -> list[list[str]]:
    """The lines of each fenced shell block."""
    return [shell_lines(text) for language, text in blocks(document) if language in SHELLS]


def commands() -> list[tuple[str, str]]:
    """(document, command line) for every `tristream` command in a shell block."""
    return [
        (str(document.relative_to(ROOT)), line)
        for document in DOCUMENTS
        for block in shell_blocks(document)
        for line in block
        if is_ours(line) and parsed(line)[1]
    ]


def complaint(line: str) -> str:
    """What the command line says against `line`, without running it; "" when it knows the command and its options."""
    program = typer.main.get_command(app)
    todo = [program]
    while todo:
        command = todo.pop()
        todo += getattr(command, "commands", {}).values()
        if not hasattr(command, "commands"):
            command.callback = lambda **values: None
        for option in command.params:
            if option.callback:  # --install-completion would write into the shell's start-up files
                option.callback = lambda context, option, value: context.exit() if value else None
    try:
        program.main(parsed(line)[1], prog_name="tristream", standalone_mode=False)
    except Exception as error:  # usage errors; the class lives in click or inside Typer, depending on the release
        return error.format_message() if hasattr(error, "format_message") else repr(error)
    return ""


def test_the_first_block_installs_and_scores_the_examples():
    assert shell_blocks(ROOT / "README.md")[0] == ["pip install .", "tristream predict examples/"]


def test_blocks_in_a_list_are_seen():
    assert (
        shell_blocks(ROOT / "docs/how-to/fine-tune.md")[0][0]
        == "tristream data index my-pictures/ -o my-pictures/index.csv"
    )


def test_the_second_block_installs_and_runs_the_tests():
    assert shell_blocks(ROOT / "README.md")[1] == ["pip install -e '.[dev]'", "pytest -q"]


@pytest.mark.parametrize("line", sorted({line for _, line in commands()}))
def test_every_command_in_the_documents_is_understood(line: str):
    assert complaint(line) == ""


@pytest.mark.parametrize("line", sorted({line for page in [*DOCUMENTS, CARD] for line in inline_commands(page)}))
def test_every_command_in_a_sentence_is_understood(line: str):
    """It may leave out what is not the point."""
    found = complaint(line.replace("COMMAND", "predict"))
    assert found == "" or found.startswith("Missing") or not parsed(line)[1], found


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tristream foretell picture.jpg", "No such command 'foretell'"),
        ("tristream predict picture.jpg --colour", "No such option"),
        ("tristream predict picture.jpg --format=xml", "'xml' is not one of"),
        ("tristream predict picture.jpg --miss-rate few", "Invalid value for '--miss-rate'"),
        ("tristream data index pictures", "Missing option '--output'"),
        ("tristream predict", "Missing argument"),
    ],
)
def test_the_check_finds_what_is_wrong(line: str, words: str):
    assert words in complaint(line)


def test_files_of_the_repository_that_commands_name_exist():
    words = {word for _, line in commands() for word in shlex.split(line, comments=True)}
    named = sorted(word for word in words if word.startswith(("configs/", "examples/")))
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_links_between_documents_lead_somewhere():
    broken = [
        f"{document.name}: {target}"
        for document in [*DOCUMENTS, ROOT / "CHANGELOG.md", ROOT / "WEIGHTS_NOTICE.md"]
        for target in re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8"))
        if "://" not in target and not (document.parent / target).exists()
    ]
    assert broken == []


@pytest.fixture
def run(tmp_path: Path):
    """Runs a Python program in an empty folder that has `examples/`, as somebody in a clone would."""
    (tmp_path / "examples").symlink_to(ROOT / "examples", target_is_directory=True)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    def in_the_folder(program: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", program, *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    return in_the_folder


@pytest.mark.parametrize("line", sorted({line for _, line in commands() if "predict examples/" in line}))
def test_the_examples_are_scored_as_the_documents_say(run, line: str, tmp_path: Path):
    words = parsed(line)[1]
    done = run("from tristream.cli.app import main; main()", *words)
    assert done.returncode == 0, done.stderr
    output = (tmp_path / words[words.index("-o") + 1]).read_text(encoding="utf-8") if "-o" in words else done.stdout
    named = ROOT / next(word for word in words if word.startswith("examples/"))
    pictures = [p for p in (named.iterdir() if named.is_dir() else [named]) if p.suffix in (".jpg", ".png", ".webp")]
    assert pictures
    assert [path.name for path in pictures if path.stem not in output] == []


def test_the_output_that_the_readme_shows_is_printed(run):
    """Scores may differ in the last digit from one processor to another; everything else is the same."""
    (shown,) = (text for language, text in blocks(ROOT / "README.md") if language == "text")
    done = run("from tristream.cli.app import main; main()", "predict", "examples/")
    printed = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.split()}

    def plain(words: list[str]) -> list[str]:
        return [word.rstrip(":") for word in words if not re.search(r"\d", word)]

    for line in shown.splitlines():
        name, *expected = line.split()
        assert plain(printed[name])[: len(plain(expected))] == plain(expected), name


def test_the_python_example_runs(run):
    (program,) = (text for language, text in blocks(ROOT / "README.md") if language == "python")
    done = run(program)
    assert done.returncode == 0, done.stderr
    assert "a.jpg None" in done.stdout  # the picture that is not there is a record, not the end
