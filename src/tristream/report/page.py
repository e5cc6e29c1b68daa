"""A report as one HTML page that needs nothing else: no script, nothing remote, every text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from tristream.report.charts import STYLE, Plot
from tristream.report.table import Table, Text, lay_out, one_line

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --grid: #8883; --ink: #222 }
@media (prefers-color-scheme: dark) { :root { --ink: #ddd } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 80rem; margin: 2rem auto; padding: 0 1rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; margin: 1rem 0 .3rem }
caption { text-align: left; font-weight: 600; padding: .3rem 0 }
th, td { padding: .25rem .9rem .25rem 0; text-align: left; border-bottom: 1px solid var(--line) }
thead th { vertical-align: bottom } tbody th { font-weight: 400 }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.notes, details { font-size: .85rem } .notes p { margin: .1rem 0 } code { overflow-wrap: anywhere }
.plots { display: flex; flex-wrap: wrap; gap: 1.5rem } figure { margin: 0 } figcaption { font-weight: 600 }
.chart { max-width: 100%; height: auto }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Section:
    """A heading, the plots under it and its tables."""

    title: str
    tables: Sequence[Table]
    plots: Sequence[Plot] = ()


def html_page(title: str, introduction: str, sections: Sequence[Section]) -> str:
    """The page. It opens from a file, in light and dark, and its tables are read well aloud."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{_text(title)}</title><style>{_STYLE}{STYLE}</style>"
    )
    contents = "".join(
        f'<li><a href="#section-{number}">{_text(section.title)}</a></li>' for number, section in enumerate(sections)
    )
    body = [
        f"<h1>{_text(title)}</h1>",
        f"<p>{_text(introduction)}</p>",
        f'<nav aria-label="Contents"><ul>{contents}</ul></nav>',
        *(part for number, section in enumerate(sections) for part in _section(number, section)),
    ]
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(body) + "\n</body></html>\n"


def _section(number: int, section: Section) -> Iterable[str]:
    yield f'<h2 id="section-{number}">{_text(section.title)}</h2>'
    if section.plots:
        figures = (f"<figure><figcaption>{_text(p.title)}</figcaption>{p.svg}</figure>" for p in section.plots)
        yield f'<div class="plots">{"".join(figures)}</div>'
    yield from map(_table, section.tables)


def _table(table: Table) -> str:
    laid_out = lay_out(table)
    heads = [f'<th scope="col">{_text(name)}</th>' for name in table.labels]
    heads += [f'<th scope="col" class="number">{_text(name)}</th>' for name in table.columns]
    rows = "".join(f"<tr>{_line(table, line)}</tr>\n" for line in laid_out.lines)
    notes = [_text(note) for note in table.notes]
    notes += [
        f'<span id="{table.name}-{number}"><sup>{number}</sup> {_text(text)}</span>'
        for number, text in enumerate(laid_out.footnotes, 1)
    ]
    return (
        f'<div class="wide"><table id="{table.name}"><caption>{_text(table.title)}</caption>'
        f"<thead><tr>{''.join(heads)}</tr></thead><tbody>\n{rows}</tbody></table></div>"
        f'<div class="notes">{"".join(f"<p>{note}</p>" for note in notes)}</div>'
        f"{_runs(table)}"
    )


def _runs(table: Table) -> str:
    if not table.runs:
        return ""
    listed = "".join(
        f"<li>{_text(words)}: <code>{_text(command)}</code></li>" for command, words in table.made_from.items()
    )
    return f"<details><summary>Made from {len(table.runs)} run records</summary><ul>{listed}</ul></details>"


def _line(table: Table, line: tuple[Text, ...]) -> str:
    first, *rest = line
    cells = [f'<th scope="row">{_marked(table, first)}</th>']
    for text in rest:
        numeric = ' class="number"' if text.is_figure else ""
        cells.append(f"<td{numeric}>{_marked(table, text)}</td>")
    return "".join(cells)


def _marked(table: Table, text: Text) -> str:
    links = (f'<a href="#{table.name}-{m}" aria-label="footnote {m}">{m}</a>' for m in text.marks)
    return _text(text.words) + (f"<sup>{','.join(links)}</sup>" if text.marks else "")


def _text(text: str) -> str:
    return escape(one_line(text))
