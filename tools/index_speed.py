"""How fast is `tristream data index` beside a bare loop over the same files, and does its memory grow with them?

usage: python tools/index_speed.py [--files N] [--rounds N] [-o results/index-speed.json]

Draws N/10 and then N small JPEG and PNG files, no two alike, in a labelled tree of a temporary folder. The bare loop
reads a file, hashes it and has Pillow read its header: in one process, and in as many as there are cores. The command
runs in a process of its own and is timed from its start to its end: with --headers-only, when it reads what the loop
reads, and as it is, when it decodes each picture as well. They take turns. The files come from the system's cache.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image

from tristream.cli.progress import progress_bar
from tristream.environment import describe_environment, usable_cores
from tristream.images.drawn import draw_scene, encode
from tristream.typing import ProgressInWords

DRAWN = 256
"""Different pictures; the files that share one differ in the bytes after its end."""
PER_FOLDER = 1000
TRISTREAM = [sys.executable, "-c", "from tristream.cli.app import main; main()"]
WATCH = """if True:
    import json, resource, subprocess, sys, time
    began = time.perf_counter()
    subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
    took_s = time.perf_counter() - began
    print(json.dumps([took_s, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
"""
"""Starts a command from a process smaller than this one, whose own memory would count as the command's at its start."""


def draw(root: Path, count: int, side: int = 112) -> int:
    """Write so many files below real/ and fake/, half of them JPEG, half PNG; returns their bytes.

    Raises OSError where they would take more than half of the free disk.
    """
    formats = ("jpeg", "png")
    contents = [encode(draw_scene(side, side, seed), formats[seed % 2]) for seed in range(DRAWN)]
    needed, free = count * sum(map(len, contents)) // DRAWN, shutil.disk_usage(root).free
    if needed > free / 2:
        raise OSError(f"{root}: {count:,} files take {needed / 1e6:,.0f} MB, more than half of {free / 1e6:,.0f} free")
    written = 0
    for number in range(count):
        seed = number % DRAWN
        folder = root / ("real", "fake")[seed // 2 % 2] / f"source{number // PER_FOLDER}"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{number:07d}.{formats[seed % 2]}"
        written += file.write_bytes(contents[seed] + number.to_bytes(8, "big"))
    return written


def read_bare(file: str) -> tuple[str, tuple[int, int]]:
    """What no index can do without: read a file, hash it, parse its header."""
    with open(file, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.seek(0)
        with Image.open(stream) as picture:
            return digest, picture.size


def bare_loop(root: Path, processes: int) -> float:
    """Seconds for all files below a folder. The processes are there before the clock starts."""
    with get_context("spawn").Pool(processes) as pool:
        pool.map(abs, range(processes), chunksize=1)
        began = time.perf_counter()
        files = sorted(os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names)
        digests = {digest for digest, _ in pool.imap_unordered(read_bare, files, chunksize=256)}
        took_s = time.perf_counter() - began
    if len(digests) != len(files):
        raise RuntimeError(f"{root}: {len(digests):,} different files among {len(files):,}; expected no two alike")
    return took_s


def index(root: Path, *options: str) -> tuple[float, float]:
    """Seconds of the command, and its peak of resident memory in MB. Raises CalledProcessError when it fails."""
    command = [*TRISTREAM, "data", "index", str(root), "-o", str(root.parent / "index.parquet"), *options]
    done = subprocess.run([sys.executable, "-c", WATCH, *command], stdout=subprocess.PIPE, check=True)
    took_s, peak = json.loads(done.stdout)
    return took_s, peak / (1e6 if sys.platform == "darwin" else 1e3)


def measure(count: int, rounds: int, cores: int, show: ProgressInWords) -> dict[str, Any]:
    """Files per second of each and their ratio to the bare loop in one process: medians of the turns; highest peaks."""
    seconds: list[dict[str, float]] = []
    peaks_mb: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "pictures")
        root.mkdir()
        written = draw(root, count)
        for done in range(rounds):
            show(done, rounds, f"{count:,} files")
            headers_s, headers_mb = index(root, "--headers-only")
            whole_s, whole_mb = index(root)
            bare = {"bare": bare_loop(root, 1), "bare_on_all_cores": bare_loop(root, cores)}
            seconds.append({**bare, "index_headers_only": headers_s, "index": whole_s})
            peaks_mb.append({"index_headers_only": headers_mb, "index": whole_mb})
        show(rounds, rounds, f"{count:,} files")
    return {
        "files": count,
        "mean_bytes": round(written / count),
        "files_per_s": {name: round(count / median(turn[name] for turn in seconds), 1) for name in seconds[0]},
        "ratio_to_bare": {name: round(median(t["bare"] / t[name] for t in seconds), 3) for name in seconds[0]},
        "peak_mb": {name: round(max(turn[name] for turn in peaks_mb), 1) for name in peaks_mb[0]},
    }


def main() -> None:
    """Read the arguments, measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000, help="at least 100 (default 100000)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each (default 3)")
    parser.add_argument("-o", "--output", type=Path, default=Path("results/index-speed.json"))
    options = parser.parse_args()
    if options.files < 100 or options.rounds < 1:
        parser.error("--files: expected 100 or more; --rounds: expected 1 or more")
    cores = usable_cores()
    with progress_bar("index speed") as show:
        few, many = (measure(count, options.rounds, cores, show) for count in (options.files // 10, options.files))
    grown_mb = many["peak_mb"]["index"] - few["peak_mb"]["index"]
    record = {
        "command": shlex.join(["python", "tools/index_speed.py", *sys.argv[1:]]),
        "pictures": "synthetic: drawn, 112 px square, half JPEG and half PNG, read from the system's cache",
        "rounds": options.rounds,
        "cores": cores,
        "sizes": [few, many],
        "peak_bytes_per_further_file": round(1e6 * grown_mb / (many["files"] - few["files"])),
        "environment": describe_environment(),
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for size in (few, many):
        print(f"{size['files']:,} files: {size['files_per_s']} files/s, {size['ratio_to_bare']} of the bare loop, "
              f"peak {size['peak_mb']} MB")  # fmt: skip


if __name__ == "__main__":
    main()
