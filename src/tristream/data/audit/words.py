"""An audit in plain words: the short answer, what leaks and what to do, for the terminal and for the page."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tristream.data.audit.leak import Leak
from tristream.data.audit.report import LEAKS_FROM, AuditReport, FamilyLeak
from tristream.data.audit.topics import FAMILIES

MEANS = {
    "file": "the files alone: format, quality, size, metadata, block grid. Equalising removes these.",
    "traces": "what earlier processing left: double compression, grid, resampling. Equalising only weakens these.",
    "scene": "what is shown: colour, brightness, a thumbnail. Equalising does not change these.",
}
LISTED = 20
"""Pictures that could not be examined, named in the text; the JSON has all."""


def leak_text(leak: Leak) -> str:
    """`0.912 [0.881, 0.940]`, without brackets where there is no interval, or a dash."""
    if leak.auroc is None:
        return "—"
    interval = leak.interval
    return f"{leak.auroc:.3f}" + (f" [{interval.low:.3f}, {interval.high:.3f}]" if interval else "")


def verdict(found: FamilyLeak) -> str:
    """What the figures of one family mean, in words."""
    leak = found.held_out
    if leak.auroc is None:
        return f"cannot be measured: {leak.reason}"
    if leak.interval is not None and leak.interval.low <= 0.5 and leak.auroc >= LEAKS_FROM:
        return "perhaps: the interval reaches chance, so it takes more sources to be sure"
    for least, words in ((0.9, "nearly always"), (0.75, "often"), (LEAKS_FROM, "somewhat better than by chance")):
        if leak.auroc >= least:
            return f"yes, {words}"
    if any(topic.leaks for topic in found.topics):
        return "in part: together they give no rule that holds for unseen sources, but some of them alone do"
    if leak.auroc < 0.4:
        return "no rule carries over to unseen sources: what holds for some is the other way round for others"
    return "hardly or not at all"


def short_answer(report: AuditReport) -> list[str]:
    """The statements that a newcomer needs, the most important first."""
    lines = []
    for family, found in report.families.items():
        lines.append(
            f"Can the label be told from {FAMILIES[family]}? {verdict(found).capitalize()} "
            f"(AUROC {leak_text(found.held_out)})."
        )
        lines += [
            f"  {topic.topic}, AUROC {leak_text(topic.leak)}: {topic.difference}. What to do: {topic.remedy}."
            for topic in found.topics
            if topic.leaks
        ]
    file = report.families["file"]
    if _much_better_known(file):
        lines.append(
            f"On sources that it has seen, the files tell even more (AUROC {leak_text(file.known_sources)}): on a "
            "random split a detector can win by recognising the files of each source. Test on held-out sources."
        )
    return lines + _warnings(report)


def _much_better_known(found: FamilyLeak) -> bool:
    held_out, known = found.held_out.auroc, found.known_sources.auroc
    return held_out is not None and known is not None and known >= LEAKS_FROM and known - held_out >= 0.1


def _warnings(report: AuditReport) -> list[str]:
    twice, lines = report.duplicates, []
    if report.held_out == "groups":
        lines.append(
            "There are too few sources to hold whole ones out, so pictures of known sources were scored: "
            "name the sources in the manifest, or expect these figures to flatter."
        )
    elif report.resampled == "groups":
        lines.append(
            "A class has too few sources to resample them: the intervals hold for more pictures of these sources, and "
            "say little about others."
        )
    for count, words in (
        (len(twice.conflicts), "files are there as real and as fake, byte for byte: find out which is right"),
        (twice.n_copies_across_splits, "files lie in several splits, byte for byte: keep one"),
        (twice.n_near_across_splits, "pairs of near duplicates lie in two splits: put each pair into one group"),
        (
            twice.n_near_across_labels,
            "pairs of near duplicates of different groups have different labels: look at them",
        ),
        (len(report.straddling_groups), "groups lie in several splits: split again with `tristream data split`"),
        (len(report.unreadable), "pictures could not be examined and are left out"),
    ):
        if count:
            lines.append(f"{count:,} {words}.")
    if report.one_sided_sources and not report.two_sided_sources:
        lines.append(
            f"All {len(report.one_sided_sources)} sources are one-sided, only real or only fake: whatever marks a "
            "source marks a label. Add sources that hold both."
        )
    if max(report.n_real, report.n_fake) > 4 * min(report.n_real, report.n_fake):
        lines.append(f"The classes are unbalanced: {report.n_real:,} real, {report.n_fake:,} fake.")
    return lines


def facts(report: AuditReport) -> list[tuple[str, str]]:
    """What belongs to the numbers, as (what, in words)."""
    sources = f"{len(report.one_sided_sources)} one-sided and {len(report.two_sided_sources)} two-sided sources"
    how = (
        f"{report.n_folds} folds that hold out whole {report.held_out}, reals and fakes together, "
        f"{report.n_repeats} times with other folds (each topic alone, and known sources: once); out-of-fold scores "
        f"pooled; intervals of 95 % by resampling {report.resampled}"
    )
    return [
        ("data", report.data),
        (
            "pictures",
            f"{report.n_real:,} real, {report.n_fake:,} fake of {sources}; digest of the manifest "
            f"{report.manifest_digest[:16]}",
        ),
        *(("split", str(size)) for size in report.splits),
        ("protocol", how if report.n_folds else "none: too few sources and groups of a class"),
    ]


def tables(report: AuditReport) -> Iterable[Table]:
    """The tables that the terminal shows."""
    overall = Table(title="Can the label be told? AUROC (0.5: not at all, 1: always)", title_justify="left")
    for column in ("from", f"unseen {report.held_out}", "known sources, unseen groups"):
        overall.add_column(column)
    for family, found in report.families.items():
        overall.add_row(*_cells(FAMILIES[family], leak_text(found.held_out), leak_text(found.known_sources)))
    yield overall
    topics = Table(title=f"By topic alone, on unseen {report.held_out}", title_justify="left")
    for column in ("family", "topic", "AUROC", "largest difference"):
        topics.add_column(column)
    for family, found in report.families.items():
        for topic in found.topics:
            topics.add_row(*_cells(family, topic.topic, leak_text(topic.leak), topic.difference))
        topics.add_section()
    yield topics
    parts = Table(title="Fakes of one source against all reals, reals of one source against all fakes")
    for column in ("source", "n", *report.families):
        parts.add_column(column)
    for row in part_rows(report):
        parts.add_row(*_cells(*row))
    yield parts


def _cells(*words: str) -> tuple[Text, ...]:
    """Words as they are: rich would take a source named "camera [raw]" for markup."""
    return tuple(map(Text, words))


def part_rows(report: AuditReport) -> list[tuple[str, ...]]:
    """Source, n and AUROC per family, the fake sources first."""
    first, rows = next(iter(report.families.values())), []
    for name, leak in first.fake_sources.items():
        others = (leak_text(found.fake_sources[name]) for found in report.families.values())
        rows.append((f"{name} (fake)", str(leak.n_fake), *others))
    for name, leak in first.photo_sources.items():
        others = (leak_text(found.photo_sources[name]) for found in report.families.values())
        rows.append((f"{name} (real)", str(leak.n_real), *others))
    return rows


def text(report: AuditReport, width: int | None = None) -> str:
    """The whole audit for a terminal or a text file. width: in characters, by default the terminal's, else 160."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=width or shutil.get_terminal_size((160, 24)).columns, highlight=False)
    console.print("[bold]In short[/bold]")
    for line in short_answer(report):
        indent = 4 if line.startswith("  ") else 0
        console.print(Padding(Text(line.strip()), (0, 0, 0, indent)))
    for rows in (facts(report), duplicate_facts(report)):
        grid = Table(box=None, show_header=False, pad_edge=False)
        for name, words in rows:
            grid.add_row(Text(name), Text(words))
        console.print("", grid)
    for table in tables(report):
        console.print("", table)
    listed = list(report.unreadable.items())
    for path, reason in listed[:LISTED]:
        console.print(Text(f"not examined: {path}: {reason}"))
    if len(listed) > LISTED:
        console.print(f"and {len(listed) - LISTED:,} more, see the JSON")
    return "".join(line.rstrip() + "\n" for line in buffer.getvalue().splitlines())


def duplicate_facts(report: AuditReport) -> list[tuple[str, str]]:
    """Counts of what is there twice."""
    twice = report.duplicates
    return [
        ("exact copies", f"{len(twice.copies):,} files stand in several rows"),
        ("  in several splits", f"{twice.n_copies_across_splits:,}"),
        ("  with both labels", f"{len(twice.conflicts):,}"),
        ("near duplicates", f"{twice.n_near_across_groups:,} pairs of different groups"),
        ("  in two splits", f"{twice.n_near_across_splits:,}"),
        ("  with both labels", f"{twice.n_near_across_labels:,}"),
        ("  within a group", f"{twice.n_near_within_groups:,} pairs; no harm, a group is never split"),
        ("straddling groups", f"{len(report.straddling_groups):,} lie in several splits"),
        ("unreadable", f"{len(report.unreadable):,} pictures"),
    ]
