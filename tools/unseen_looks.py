"""Lists every look at the pictures of `unseen` that is or ever was recorded under results/, from the history of git.

usage: python tools/unseen_looks.py      writes results/unseen-looks.json; needs a clone with its whole history

A record is replaced when a detector is, and pictures that several versions were scored on are no longer untouched: who
reads the last number has to know how many there were.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOOKS = ROOT / "results" / "unseen-looks.json"


def looks() -> Iterator[dict[str, Any]]:
    """One for each checkpoint and row, in the order in which they were recorded."""
    seen: set[tuple[str, str]] = set()
    commits = _git("log", "--reverse", "--format=%H %as", "--", ":(glob)results/*/unseen/metrics.json").splitlines()
    for commit, date in (line.split() for line in commits):
        changed = _git("diff-tree", "-r", "--root", "--no-commit-id", "--name-only", "--diff-filter=AM", commit)
        for path in changed.splitlines():
            parts = path.split("/")
            if parts[0] != "results" or parts[2:] != ["unseen", "metrics.json"]:
                continue
            record, metrics = (
                json.loads(_git("show", f"{commit}:results/{parts[1]}/unseen/{name}.json"))
                for name in ("record", "metrics")
            )
            key = parts[1], record["checkpoint"]["sha256"]
            if key not in seen:
                seen.add(key)
                yield {"date": date, "row": parts[1], **_facts(record, metrics)}


def _facts(record: dict[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
    rows = {name: condition["overall"] for name, condition in metrics["conditions"].items()}
    first = rows["delivered"]
    return {
        "checkpoint": record["checkpoint"]["name"],
        "sha256": record["checkpoint"]["sha256"],
        "n_real": first["n_real"],
        "n_fake": first["n_fake"],
        "auroc": {name: row["figures"]["auroc"]["value"] for name, row in rows.items()},
    }


def _git(*words: str) -> str:
    return subprocess.run(["git", "-C", str(ROOT), *words], check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Write the list."""
    LOOKS.write_text(json.dumps({"command": "python tools/unseen_looks.py", "looks": list(looks())}, indent=1) + "\n")


if __name__ == "__main__":
    main()
