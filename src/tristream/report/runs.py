"""Which runs are one detector, and which are on the same pictures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from tristream.evaluation.conditions import VIEWS, ConditionRecord
from tristream.evaluation.record import DetectorRecord
from tristream.evaluation.run_folder import SHORT_DIGEST, Run
from tristream.evaluation.summary import ConditionSummary


@dataclass(frozen=True, eq=False)
class Entry:
    """One detector on one set of pictures: for each of its checkpoints (one, or one per training seed) its runs."""

    name: str
    checkpoints: tuple[tuple[Run, ...], ...]
    about: DetectorRecord | None = None
    """In place of what the record says of the detector."""

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs, checkpoint by checkpoint."""
        return tuple(run for runs in self.checkpoints for run in runs)

    @property
    def detector(self) -> DetectorRecord:
        """What the detector is: `about`, or what the record of its first run says."""
        return self.about or self.runs[0].record.detector

    def runs_of(self, condition: str) -> tuple[Run, ...]:
        """One run per checkpoint that was scored under the condition."""
        found = (next((r for r in runs if condition in r.summary.conditions), None) for runs in self.checkpoints)
        return tuple(run for run in found if run is not None)

    def summaries(self, condition: str) -> tuple[ConditionSummary, ...]:
        """The figures of each checkpoint under the condition."""
        return tuple(run.summary.conditions[condition] for run in self.runs_of(condition))


@dataclass(frozen=True, eq=False)
class ResultSet:
    """All entries on the same pictures."""

    title: str
    entries: tuple[Entry, ...]

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs, entry by entry."""
        return tuple(run for entry in self.entries for run in entry.runs)

    def find(self, detector: str) -> Entry | None:
        """The entry of that name, or with a checkpoint of these digits."""
        return next((e for e in self.entries if detector in (e.name, *(run.checkpoint for run in e.runs))), None)

    def called(self, name: str) -> list[Entry]:
        """The entries with a checkpoint of that name, which several may bear."""
        return [entry for entry in self.entries if any(run.record.checkpoint.name == name for run in entry.runs)]

    @cached_property
    def conditions(self) -> dict[str, ConditionRecord]:
        """Every condition that some run was scored under; views come first."""
        found: dict[str, ConditionRecord] = {}
        for run in self.runs:
            for name in run.summary.conditions:
                found.setdefault(name, run.record.conditions.get(name, ConditionRecord()))
        return {n: found[n] for n in VIEWS if n in found} | {n: c for n, c in found.items() if n not in VIEWS}

    def family(self, *names: str) -> dict[str, ConditionRecord]:
        """The conditions of these families."""
        return {name: c for name, c in self.conditions.items() if c.family in names}


def arrange(runs: Iterable[Run]) -> list[ResultSet]:
    """Group runs by the pictures that they scored, and there by detector.

    Runs of one checkpoint are one entry. Checkpoints of one name, of the same streams and start and with different
    recorded seeds, are one entry, too, as seeds of one training; others of one name are told apart by their digests.
    """
    sets: dict[str, list[Run]] = {}
    for run in runs:
        sets.setdefault(run.record.manifest_digest, []).append(run)
    titles = [_title(found[0]) for found in sets.values()]
    return [
        ResultSet(title if titles.count(title) == 1 else f"{title} ({digest[:SHORT_DIGEST]})", _entries(found))
        for title, (digest, found) in zip(titles, sets.items(), strict=True)
    ]


def _title(run: Run) -> str:
    return run.record.data + (f", split {run.record.split}" if run.record.split else "")


def _entries(runs: list[Run]) -> tuple[Entry, ...]:
    named: dict[str, dict[str, list[Run]]] = {}
    apart = _apart(runs)
    for run in runs:
        name = run.record.checkpoint.name
        by_checkpoint = named.setdefault(
            f"{name}, precision {run.record.precision}" if name in apart and run.record.precision else name, {}
        )
        by_checkpoint.setdefault(run.record.checkpoint.sha256, []).append(run)
    entries = []
    for name, by_checkpoint in named.items():
        detectors = [found[0].record.detector for found in by_checkpoint.values()]
        seeds, kinds = [told.seed for told in detectors], {told.model_copy(update={"seed": None}) for told in detectors}
        if None not in seeds and len(set(seeds)) == len(seeds) and len(kinds) == 1:
            entries.append(Entry(name, tuple(tuple(found) for found in by_checkpoint.values())))
        else:
            entries += [
                Entry(f"{name} ({found[0].checkpoint})" if len(seeds) > 1 else name, (tuple(found),))
                for found in by_checkpoint.values()
            ]
    return tuple(entries)


def _apart(runs: list[Run]) -> set[str]:
    """The detectors that were scored under one condition in several precisions: a row for each."""
    precisions: dict[tuple[str, str], set[str]] = {}
    for run in runs:
        if (precision := run.record.precision) is None:
            continue
        for condition in run.summary.conditions:
            precisions.setdefault((run.record.checkpoint.name, condition), set()).add(precision)
    return {name for (name, _), found in precisions.items() if len(found) > 1}
