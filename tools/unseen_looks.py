"""Lists every look at the pictures of `unseen` that is or ever was recorded under results/, from the history of git.

usage: python tools/unseen_looks.py      writes results/unseen-looks.json; needs a clone with its whole history

A record is replaced when a detector is, and pictures that several versions were scored on are no longer untouched: who
reads the last number has to know how many there were.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from tristream.evaluation.conditions import VIEWS

ROOT = Path(__file__).parents[1]
LOOKS = ROOT / "results" / "unseen-looks.json"


def looks() -> list[dict[str, Any]]:
    """One for each checkpoint and row, in the order of their first records, with the places of all."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for date, path, record, metrics in _recorded():
        _, row, *places, _ = path.parts
        fresh = {"date": date, "row": row, **_facts(record, metrics), "places": []}
        look = found.setdefault((row, record["checkpoint"]["sha256"]), fresh)
        look["places"] += [] if places[0] in look["places"] else [places[0]]
    return list(found.values())


def _recorded() -> Iterator[tuple[str, PurePosixPath, dict[str, Any], dict[str, Any]]]:
    """Date, path, record and metrics, whenever they were committed."""
    commits = _git("log", "--reverse", "--format=%H %as", "--", ":(glob)results/*/*unseen/**").splitlines()
    for commit, date in (line.split() for line in commits):
        changed = _git("diff-tree", "-r", "--root", "--no-commit-id", "--name-only", "--diff-filter=AM", commit)
        for path in map(PurePosixPath, changed.splitlines()):
            if path.match("results/*/*unseen/metrics.json") or path.match("results/*/*unseen/*/metrics.json"):
                record, metrics = (
                    json.loads(_git("show", f"{commit}:{path.with_name(name)}"))
                    for name in ("record.json", "metrics.json")
                )
                yield date, path, record, metrics


def _facts(record: dict[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
    """Of the views; a record of other conditions alone has none."""
    rows = {name: condition["overall"] for name, condition in metrics["conditions"].items()}
    first = next(iter(rows.values()))
    return {
        "checkpoint": record["checkpoint"]["name"],
        "sha256": record["checkpoint"]["sha256"],
        "n_real": first["n_real"],
        "n_fake": first["n_fake"],
        "auroc": {name: rows[name]["figures"]["auroc"]["value"] for name in VIEWS if name in rows},
    }


def _git(*words: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *words], check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Write the list."""
    LOOKS.write_text(json.dumps({"command": "python tools/unseen_looks.py", "looks": looks()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
