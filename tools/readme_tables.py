"""Puts the measured tables into README.md and docs/measured.md, by the functions of `tristream report`, from records.

usage: python tools/readme_tables.py [--check]      --check writes nothing and fails when a document is out of date

What stands between `<!-- table: NAME -->` and `<!-- end of table -->` is replaced by the table of that name in TABLES.
The README's are compact: AUROC alone, each perturbation at its strongest, the success of three attacks, no footnotes on
papers; docs/measured.md has all. Rows are those of tools/protocol.py, run or not; a missing figure is a dash.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from protocol_rows import ROWS, Row

from tristream.attacks.crafted import AFTER_JPEG, SHUFFLED, UNROUNDED
from tristream.benchmark.report import BenchmarkReport
from tristream.config import load_config
from tristream.detectors import build_detector
from tristream.errors import UsageError
from tristream.evaluation.conditions import USUAL
from tristream.evaluation.figures import Figure
from tristream.evaluation.run_folder import find_runs
from tristream.report.ablation import masked_table, retrained_shares_table, retrained_table, shares_table
from tristream.report.attacks import attack_table, success_table
from tristream.report.contents import gap_table, overall_table, perturbations, remarks, robustness_table, view_name
from tristream.report.formats import markdown, markdown_rows, markdown_runs
from tristream.report.runs import Entry, ResultSet, arrange
from tristream.report.table import DASH, Cell, Table, cell_of, of_all
from tristream.report.table import Row as TableRow
from tristream.training.config import TrainConfig
from tristream.training.departures import departures

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "measured.md")
PROTOCOL = "python tools/protocol.py --data CORPUS --unseen UNSEEN --clip FILE --no-hub"

LONE = Row("EfficientNet-Lite0 alone", starts_from="ImageNet")
"""What the shipped detector has to beat: its spatial network, trained like it (configs/shipped.yaml)."""
TABLE_ROWS = ROWS | {"lone": LONE}
DETECTORS = {name: row.words for name, row in TABLE_ROWS.items()}
SETS = {"corpus-test": "corpus test split", "unseen": "unseen"}
OF_SEVERAL = ("retrained", "retrained-unseen")
"""Places where a row has several detectors, one for each subset of its streams."""
MARKED = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def sets_of(place: str) -> list[ResultSet]:
    """The records results/<row>/`place`, by the pictures that were scored; each row is an entry, by its name there."""
    folders = {name: RESULTS / name / place for name in DETECTORS}
    runs = {name: find_runs([folder]) for name, folder in folders.items() if folder.is_dir()}
    sets = arrange(run for of_row in runs.values() for run in of_row)
    if place in OF_SEVERAL:
        return sets
    rows = {run: name for name, of_row in runs.items() for run in of_row}
    return [ResultSet(found.title, tuple(as_row(e, rows[e.runs[0]]) for e in found.entries)) for found in sets]


def as_row(entry: Entry, name: str) -> Entry:
    """An entry as the tables call it, with what its config departs from, which older records do not tell."""
    row, told = TABLE_ROWS[name], entry.detector
    changed = {
        "initialisation": row.starts_from or told.initialisation,
        "deviations": deviations_of(RESULTS / name / "training" / "config.yaml", told.deviations),
    }
    return replace(entry, name=row.words, about=told.model_copy(update=changed))


def deviations_of(config: Path, told: tuple[str, ...]) -> tuple[str, ...]:
    """What a record tells of a detector, and what the config of its training tells."""
    if not config.is_file():
        return told
    training = load_config(TrainConfig, config)
    options = dict(training.detector)
    with torch.device("meta"):  # no weights are needed to tell what a detector departs from
        detector = build_detector(options.pop("name", "multistream"), options, load_weights=False)
    of_augmentation = detector.paper.augmentation.departure if detector.paper else ""  # older records: of the class
    found = (
        *(line for line in told if line != of_augmentation),
        *detector.deviations,
        *departures(training, type(detector)),
    )
    return tuple(dict.fromkeys(found))


def tables_of(place: str, make: Callable[[ResultSet], Table]) -> list[Table]:
    """A table of the report for each set of pictures; none where nothing that it needs was recorded."""
    return [table for pictures in sets_of(place) if (table := make(pictures)).rows]


def pictures_of(place: str) -> ResultSet | None:
    """The one set of pictures of a place. Raises UsageError for several: their figures do not belong into one table."""
    sets = sets_of(place)
    if len(sets) > 1:
        raise UsageError(f"results/*/{place}: not the same pictures ({'; '.join(found.title for found in sets)})")
    return sets[0] if sets else None


def baselines() -> str:
    """AUROC of every row on both sets, as delivered and with everything alike."""
    found = {place: pictures_of(place) for place in SETS}
    rows = []
    for row in (*ROWS.values(), LONE):
        entries = [None if pictures is None else pictures.find(row.words) for pictures in found.values()]
        there = [entry for entry in entries if entry is not None]
        start = (row.starts_from or there[0].detector.initialisation or "not recorded") if there else DASH
        cells = tuple(_auroc(entry, view) for entry in entries for view in USUAL)
        rows.append(TableRow((row.words, start), cells, () if there else ("not run yet",)))
    columns = tuple(f"{words}, {view_name(view)}" for words in SETS.values() for view in USUAL)
    counted = [f"{SETS[place]}: {_counts(pictures)}" for place, pictures in found.items()]
    notes = (
        f"AUROC with its 95 % interval over groups of pictures; {'; '.join(counted)}.",
        f"{LONE.words}: by the command in `configs/shipped.yaml`, not by that below.",
        *dict.fromkeys(words for pictures in found.values() if pictures for words in remarks(pictures.entries, USUAL)),
    )
    table = Table("baselines", "", "", ("detector", "starts from"), columns, tuple(rows), (), notes)
    return shown([table], "train,evaluate", *SETS)


def _auroc(entry: Entry | None, view: str) -> Cell:
    """Without its n, which stands below the table."""
    cell = Cell(Figure(), "auroc") if entry is None else cell_of(entry, view, "auroc", of_all("auroc"))
    return replace(cell, n_real=None, n_fake=None)


def _counts(pictures: ResultSet | None) -> str:
    if pictures is None:
        return "not run yet"
    row = next(iter(pictures.runs[0].summary.conditions.values())).overall
    return f"{row.n_real} real, {row.n_fake} fake"


def robustness() -> str:
    """AUROC of the rows that were run, as delivered and at the strongest severity of each perturbation."""
    return shown(tables_of("robustness", _strongest), "robustness", "robustness")


def _strongest(pictures: ResultSet) -> Table:
    table, conditions = robustness_table(pictures), perturbations(pictures).values()
    if not table.rows:
        return table
    last = {condition.family: position for position, condition in enumerate(conditions, 1)}
    kept = [table.rows[position] for position in (0, *last.values())]
    rows = tuple(replace(row, labels=(row.labels[0], *row.labels[2:])) for row in kept)  # without the severity
    return replace(table, labels=(table.labels[0], *table.labels[2:]), rows=rows)


ATTACKS_IN_SHORT = ("fgsm-1", "pgd-8", f"pgd-8{AFTER_JPEG}", f"pgd-8{SHUFFLED}", "cw", f"cw{UNROUNDED}")


def _attacks_in_short(pictures: ResultSet) -> Table:
    """The weakest attack, the usual one in its forms, and that of the least change: how often they succeed."""
    table = success_table(pictures)
    rows = (row for row in table.rows if any(c is not None and c.condition in ATTACKS_IN_SHORT for c in row.cells))
    return replace(table, rows=tuple(rows))


def _aurocs(make: Callable[[ResultSet], Table]) -> Callable[[ResultSet], Table]:
    """The same table with no other measure."""

    def narrow(pictures: ResultSet) -> Table:
        table = make(pictures)
        kept = [position for position, name in enumerate(table.columns) if name.startswith("AUROC")]
        rows = tuple(replace(row, cells=tuple(row.cells[k] for k in kept)) for row in table.rows)
        return replace(table, columns=tuple(table.columns[k] for k in kept), rows=rows)

    return narrow


def speed() -> str:
    """Pictures a second from a file's bytes to its verdict, one after another, by engine and threads."""
    if not (record := RESULTS / "benchmark.json").is_file():
        return "Not run yet: `tristream benchmark -o results/benchmark.json` makes the record.\n"
    found = BenchmarkReport.model_validate_json(record.read_text(encoding="utf-8"))
    measured = {
        (m.engine, m.threads): m.pictures_per_second
        for m in found.measurements
        if m.stage == "end_to_end" and m.batch == 1
    }
    threads = sorted({count for _, count in measured})
    engines = sorted({name for name, _ in measured}, key=lambda name: -measured[name, threads[0]].median)
    cells = {key: f"{rate.median:.1f} [{rate.least:.1f}, {rate.largest:.1f}]" for key, rate in measured.items()}
    columns = [f"{count} thread{'s' if count > 1 else ''}" for count in threads]
    lines = [f"| engine | {' | '.join(columns)} |", f"| --- |{' ---: |' * len(threads)}"]
    lines += [f"| {name} | {' | '.join(cells.get((name, n), DASH) for n in threads)} |" for name in engines]
    processor = f"{found.environment['processor']}, {found.cores} cores"
    notes = [f"Pictures a second, median of {found.rounds} rounds [least, largest], on {processor}; {found.pictures}."]
    notes += [f"{skipped.name}: {skipped.reason}" for skipped in found.skipped]
    return "\n".join([*lines, "", *(f"{markdown(note)}  " for note in notes), "", f"Record: `{found.command}`.", ""])


def shown(tables: list[Table], step: str, *places: str) -> str:
    """Tables, and the commands behind them; one line where there are no records yet."""
    if not tables:
        return f"Not run yet: `{PROTOCOL} --steps {step}` makes the records.\n"
    folders = " ".join(f"results/*/{place}" for place in places)
    command = f"Records: `{PROTOCOL} --steps {step}`. Every figure: `tristream report {folders}`."
    lines = []
    for table in tables:
        lines += [f"{markdown(table.pictures)}:", ""] if len(tables) > 1 else []
        lines += markdown_rows(table)
    return "\n".join([*lines, command, ""])


def whole(place: str, make: Callable[[ResultSet], Table], step: str) -> str:
    """Tables as the report has them, with the runs that they were made from."""
    tables = tables_of(place, make)
    return "\n".join([shown(tables, step, place), *(line for table in tables for line in markdown_runs(table))])


TABLES: dict[str, Callable[[], str]] = {
    "baselines": baselines,
    "robustness": robustness,
    "masked": lambda: shown(tables_of("masked", _aurocs(masked_table)), "ablate", "masked"),
    "retrained": lambda: shown(tables_of("retrained", _aurocs(retrained_table)), "retrain", "retrained"),
    "attacks": lambda: shown(tables_of("attack", _attacks_in_short), "attack", "attack"),
    "speed": speed,
    "corpus-test": lambda: whole("corpus-test", overall_table, "train,evaluate"),
    "unseen": lambda: whole("unseen", overall_table, "train,evaluate"),
    "gap-corpus-test": lambda: whole("corpus-test", gap_table, "evaluate"),
    "gap-unseen": lambda: whole("unseen", gap_table, "evaluate"),
} | {
    f"{name}{end}": partial(whole, f"{place}{end}", make, step)
    for end in ("", "-unseen")
    for name, place, make, step in (
        ("robustness-whole", "robustness", robustness_table, "robustness"),
        ("masked-whole", "masked", masked_table, "ablate"),
        ("shapley-masked", "masked", shares_table, "ablate"),
        ("retrained-whole", "retrained", retrained_table, "retrain"),
        ("shapley-retrained", "retrained", retrained_shares_table, "retrain"),
        ("attacks-whole", "attack", attack_table, "attack"),
    )
}


def filled(text: str) -> str:
    """A document with every table between its markers as the records have it."""
    return MARKED.sub(lambda match: f"{match[1]}\n{TABLES[match[2]]().rstrip()}\n\n{match[3]}", text)


def main() -> None:
    """Write the documents, or compare them."""
    for path in DOCUMENTS:
        before = path.read_text(encoding="utf-8")
        after = filled(before)
        if "--check" not in sys.argv:
            path.write_text(after, encoding="utf-8")
        elif after != before:
            sys.exit(f"{path.name}: out of date; run python tools/readme_tables.py")
    sys.exit(0)


if __name__ == "__main__":
    main()
