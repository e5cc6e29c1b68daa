"""Tables as Markdown, LaTeX (booktabs) and tidy CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable

from tristream.report.table import Table, Text, lay_out, one_line

CSV_COLUMNS = (
    "table", "pictures", "detector", "checkpoints", "condition", "part", "measure",
    "value", "low", "high", "std", "seeds", "n_real", "n_fake", "reason",
)  # fmt: skip

_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_[]|~$"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"})
_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "[": "{[}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''"}
    | {"—": "---", "–": "--", "−": "$-$", "±": r"$\pm$", "×": r"$\times$", "≤": r"$\leq$", "≥": r"$\geq$"}
    | {"ε": r"$\varepsilon$", "Δ": r"$\Delta$", "σ": r"$\sigma$", "→": r"$\rightarrow$", "∞": r"$\infty$"}
)
"""`[` is braced because after `\\\\` it would open an optional argument."""


def markdown(text: str) -> str:
    """Escaped for Markdown, HTML in it included."""
    return one_line(text).translate(_MARKDOWN)


def latex(text: str) -> str:
    """Escaped for LaTeX."""
    return one_line(text).translate(_LATEX)


def markdown_report(title: str, introduction: str, tables: Iterable[Table]) -> str:
    """All tables, each with its footnotes and the runs that it was made from."""
    return f"# {markdown(title)}\n\n{markdown(introduction)}\n\n" + "\n".join(map(_markdown_table, tables))


def markdown_rows(table: Table) -> list[str]:
    """The lines of a table, then its notes and footnotes, without a heading."""
    laid_out = lay_out(table)
    header = [markdown(name) for name in (*table.labels, *table.columns)]
    rule = ["---"] * len(table.labels) + ["---:"] * len(table.columns)
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, rule)]
    lines += ["| " + " | ".join(map(_markdown_cell, line)) + " |" for line in laid_out.lines]
    notes = [f"<sup>{number}</sup> {markdown(text)}" for number, text in enumerate(laid_out.footnotes, 1)]
    return [*lines, "", *(f"{note}  " for note in (*map(markdown, table.notes), *notes)), ""]


def markdown_runs(table: Table) -> list[str]:
    """The runs that a table was made from, each with its command."""
    if not table.runs:
        return []
    return [
        "Made from:",
        "",
        *(f"- {markdown(words)}: {_code(command)}" for command, words in table.made_from.items()),
        "",
    ]


def _markdown_table(table: Table) -> str:
    heading = f"## {markdown(f'{table.title}: {table.pictures}')}"
    return "\n".join([heading, "", *markdown_rows(table), *markdown_runs(table)])


def _markdown_cell(text: Text) -> str:
    marks = ",".join(map(str, text.marks))
    return (text.words if text.is_figure else markdown(text.words)) + (f"<sup>{marks}</sup>" if marks else "")


def _code(command: str) -> str:
    fence = "`" * (1 + max((len(found) for found in re.findall("`+", command)), default=0))
    padding = " " if "`" in command else ""
    return f"{fence}{padding}{command}{padding}{fence}"


def latex_report(tables: Iterable[Table]) -> str:
    """A `table` environment for each, shrunk where it is wider than the line; the first line says what it needs."""
    needs = "\\usepackage{booktabs}, \\usepackage{adjustbox} and UTF-8"
    return f"% Made by tristream report; the preamble needs {needs}.\n" + "\n".join(map(_latex_table, tables))


def _latex_table(table: Table) -> str:
    laid_out = lay_out(table)
    notes = [latex(note) for note in table.notes]
    notes += [rf"\textsuperscript{{{number}}}~{latex(text)}" for number, text in enumerate(laid_out.footnotes, 1)]
    notes += [f"Made from: {'; '.join(latex(words) for words in table.made_from.values())}."] if table.runs else []
    columns = "l" * len(table.labels) + "r" * len(table.columns)
    lines = [
        *(f"% {words}: {command}" for command, words in table.made_from.items()),
        r"\begin{table}",
        r"\centering\small",
        rf"\caption{{{latex(f'{table.title}: {table.pictures}')}}}",
        rf"\label{{tab:{table.name}}}",
        r"\begin{adjustbox}{max width=\linewidth}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(map(latex, (*table.labels, *table.columns))) + r" \\",
        r"\midrule",
        *(" & ".join(map(_latex_cell, line)) + r" \\" for line in laid_out.lines),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{adjustbox}",
        r"\par\smallskip",
        r"\begin{minipage}{\linewidth}\footnotesize",
        "\\par\n".join(notes),
        r"\end{minipage}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_cell(text: Text) -> str:
    marks = ",".join(map(str, text.marks))
    return latex(text.words) + (rf"\textsuperscript{{{marks}}}" if marks else "")


def csv_report(tables: Iterable[Table]) -> str:
    """One figure a row, unrounded; also those that the tables have no room for."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for table in tables:
        cells = [cell for row in table.rows for cell in row.cells if cell is not None]
        for cell in (*cells, *table.unshown):
            figure = cell.figure
            writer.writerow(
                _blank(v) for v in (
                    table.name, table.pictures, cell.detector, " ".join(cell.checkpoints), cell.condition, cell.part,
                    cell.measure, figure.value, figure.low, figure.high, cell.std, cell.seeds, cell.n_real, cell.n_fake,
                    figure.reason,
                )
            )  # fmt: skip
    return stream.getvalue()


def _blank(value: object) -> object:
    return "" if value is None else value
