"""An audit as one HTML page that needs nothing else: no script, nothing remote, every text escaped."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable
from html import escape

from PIL import Image

from tristream.data.audit.leak import Leak
from tristream.data.audit.report import AuditReport, FamilyLeak, source_names
from tristream.data.audit.topics import FAMILIES
from tristream.data.audit.words import MEANS, duplicate_facts, facts, leak_text, part_rows, short_answer
from tristream.data.manifest import Manifest
from tristream.errors import ImageError
from tristream.images.decode import decode

THUMBNAIL_SIDE = 96
SHOWN_PAIRS = 40

Picture = Callable[[str], str]
"""Path in the manifest to an <img>, or to "" where pictures are left out."""

_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 } caption { text-align: left; font-weight: 600; padding: .3rem 0 }
th, td { padding: .25rem .8rem .25rem 0; text-align: left; border-bottom: 1px solid #8884; vertical-align: middle }
.number { font-variant-numeric: tabular-nums; white-space: nowrap }
.answer { padding-left: 1.2rem } .remedy { margin-left: 1.5rem }
pre { white-space: pre-wrap; overflow-wrap: anywhere } img { max-height: 96px; vertical-align: middle }
"""


def audit_page(report: AuditReport, manifest: Manifest, *, pictures: bool = True) -> str:
    """The page. manifest: the one that was audited; its pictures are shown small unless `pictures` is False."""
    show = _thumbnails(manifest) if pictures else _no_picture
    sections = [
        f"<h1>Audit of {escape(report.data)}</h1>",
        "<h2>In short</h2>",
        *(_answer(line) for line in short_answer(report)),
        "<h2>What was looked at</h2>",
        _table(("what", "in words"), ([escape(what), escape(words)] for what, words in facts(report))),
        *map(_family, report.families.values()),
        "<h2>By source</h2>",
        "<p>Fakes of one source against all reals; reals of one source against all fakes.</p>",
        _sources(report, manifest, show),
        "<h2>There more than once</h2>",
        _table(("what", "how many"), ([escape(what), escape(words)] for what, words in duplicate_facts(report))),
        _pairs(report, show),
        _listed("Groups in several splits", ((g, ", ".join(s)) for g, s in report.straddling_groups.items())),
        _listed("Not examined", report.unreadable.items()),
        f"<p>tristream {escape(report.tristream)}</p><pre>{escape(report.command)}</pre>",
    ]
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>Audit of {escape(report.data)}</title><style>{_STYLE}</style>"
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(sections) + "\n</body></html>\n"


def _answer(line: str) -> str:
    return f'<p class="{"remedy" if line.startswith("  ") else "answer"}">{escape(line.strip())}</p>'


def _family(found: FamilyLeak) -> str:
    rows = [
        ["<strong>all together</strong>", _bar(found.held_out), "", ""],
        ["all together, on known sources", _bar(found.known_sources), "", ""],
    ]
    for topic in found.topics:
        remedy = escape(topic.remedy) if topic.leaks else ""
        rows.append([escape(topic.topic), _bar(topic.leak), escape(topic.difference), remedy])
    title = FAMILIES[found.family].capitalize()
    table = _table(("from", "AUROC on unseen pictures", "largest difference", "what to do"), rows)
    return f"<h2>{escape(title)}</h2><p>{escape(MEANS[found.family].capitalize())}</p>{table}"


def _bar(leak: Leak) -> str:
    """The figure, and where it lies between 0 and 1; the line is its interval, the tick is chance."""
    text = f'<span class="number">{escape(leak_text(leak))}</span>'
    if leak.auroc is None:
        return text
    low, high = (leak.interval.low, leak.interval.high) if leak.interval else (leak.auroc, leak.auroc)
    drawing = (
        '<svg width="120" height="14" viewBox="0 0 120 14" aria-hidden="true">'
        '<path d="M0 7H120M60 1V13" stroke="#8886"/>'
        f'<path d="M{120 * low:.1f} 7H{120 * high:.1f}" stroke="#c33" stroke-width="3"/>'
        f'<circle cx="{120 * leak.auroc:.1f}" cy="7" r="4" fill="#c33"/></svg>'
    )
    return f"{drawing} {text}"


def _sources(report: AuditReport, manifest: Manifest, show: Picture) -> str:
    rows = manifest.table[~manifest.table["path"].isin(list(report.unreadable))]
    example: dict[str, str] = {}
    for path, label, source in zip(rows["path"], rows["label"], source_names(rows), strict=True):
        example.setdefault(f"{source} ({'fake' if label else 'real'})", str(path))
    rows_of_cells = []
    for row in part_rows(report):
        picture = show(example[row[0]]) if row[0] in example else ""
        rows_of_cells.append([picture, *(escape(cell) for cell in row)])
    return _table(("", "source", "n", *(FAMILIES[family] for family in report.families)), rows_of_cells)


def _pairs(report: AuditReport, show: Picture) -> str:
    names = ("real", "fake")
    rows = []
    for copies in report.duplicates.copies[:SHOWN_PAIRS]:
        labels, splits = ", ".join(names[label] for label in copies.labels), ", ".join(copies.splits)
        paths = "<br>".join(escape(path) for path in copies.paths)
        rows.append([show(copies.paths[0]), paths, "the same bytes", escape(labels), escape(splits)])
    for pair in report.duplicates.near[:SHOWN_PAIRS]:
        labels, splits = ", ".join(names[label] for label in pair.labels), ", ".join(pair.splits)
        paths = "<br>".join(escape(path) for path in pair.paths)
        how = f"{pair.bits} of 256 bits differ"
        rows.append(["".join(map(show, pair.paths)), paths, how, escape(labels), escape(splits)])
    return _table(("", "files", "how alike", "labels", "splits"), rows) if rows else ""


def _listed(title: str, rows: Iterable[tuple[str, str]]) -> str:
    cells = [[escape(name), escape(words)] for name, words in rows]
    return f"<h2>{escape(title)}</h2>{_table(('what', 'why'), cells)}" if cells else ""


def _table(columns: Iterable[str], rows: Iterable[list[str]]) -> str:
    """columns: text; rows: HTML."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _no_picture(path: str) -> str:
    return ""


def _thumbnails(manifest: Manifest) -> Picture:
    row_of = {path: row for row, path in enumerate(manifest.table["path"])}

    def show(path: str) -> str:
        try:
            picture = Image.fromarray(decode(manifest.file(row_of[path])).pixels)
        except ImageError:
            return ""
        picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=80)
        return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}">'

    return show
