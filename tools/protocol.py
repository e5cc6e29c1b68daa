"""Makes the measured results: trains, calibrates and evaluates every row of the tables with tristream's own commands.

usage: python tools/protocol.py --data CORPUS --unseen UNSEEN [--rows cnndetect,xception] [--steps train,evaluate]

CORPUS is a manifest with the splits train, reserved and test; UNSEEN one of other generators and photo sources. Run it
from the folder of the clone. Each command is printed; work goes to --runs, finished records and the logs of training to
--results. A step is skipped when its record there is of the same command and weights; one that was killed goes on where
it was. A step that fails does not stop the others; the exit status is then 1.

Every row but `shipped` and `univfd` has the 2,000 training pictures of configs/protocols/cpu.yaml, and all but the
probes its 3 epochs at 192 px (a probe learns one layer, at its tower's own 224 px). Robustness has 34 conditions; on
LIMIT pictures these are 6,800 scores: 11 minutes where two cores score 10 pictures a second, as with the three streams
or CNNDetect (4 billion multiplications a picture); Xception takes twice that, a CLIP ViT-B/16 and F3Net four times.
The unseen pictures get the same, less of them: LIMIT_UNSEEN for robustness, PICTURES_UNSEEN for FGSM and PGD.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from protocol_rows import CLIP, ROWS, SHIPPED

from tristream.data.files import file_facts
from tristream.evaluation.conditions import STREAMS, subsets

LIMIT = 200
"""Pictures of the test split for robustness, half of each class, balanced over sources; the same ones for every row."""
LIMIT_UNSEEN = 100
"""As LIMIT, of the unseen pictures."""
RETRAINED_UNSEEN = 400
"""As LIMIT, of the unseen pictures, for the retrained subsets of the streams."""
PICTURES_UNSEEN = 20
"""Of the unseen pictures, for FGSM and PGD; Carlini-Wagner costs hours on a CPU and is left to the test split."""
PROGRAM = (sys.executable, "-c", "from tristream.cli.app import main; main()")


@dataclass(frozen=True)
class Scored:
    """A set of pictures that every row is scored on."""

    views: str
    """The place of its views."""
    end: str
    """Of the names of its other places."""
    words: tuple[str, ...]
    """That name it."""
    limit: int
    """For robustness."""
    attacks: tuple[str, ...] = ()
    """Which, and how many pictures; none: as `tristream attack` has it."""


@dataclass(frozen=True)
class Step:
    """One command of tristream for one row."""

    row: str
    kind: str
    words: Callable[[], tuple[str, ...]]
    """Of the command; which weights there are is looked up when its turn comes."""
    is_done: Callable[[], bool]
    keep: Callable[[], None] = lambda: None
    """Copies what is to be kept into the results."""
    needs: Callable[[], Path] | None = None
    """The file that an earlier step leaves."""

    @property
    def command(self) -> str:
        """As somebody types it, and as records have it."""
        return shlex.join(["tristream", *self.words()])


def plan(options: argparse.Namespace) -> Iterator[Step]:
    """All steps in their order."""
    for name in options.rows:
        row = ROWS[name]
        if "train" in options.steps and row.configs:
            yield from _training(name, options)
        for pictures in sets(options):
            yield from _scorings(name, pictures, options)


def sets(options: argparse.Namespace) -> tuple[Scored, ...]:
    """The test split, and the pictures that nothing was chosen by."""
    few = ("--attack", "fgsm", "--attack", "pgd", "--pictures", str(PICTURES_UNSEEN))
    return (
        Scored("corpus-test", "", ("--data", str(options.data), "--split", "test"), options.limit),
        Scored("unseen", "-unseen", ("--data", str(options.unseen)), options.limit_unseen, few),
    )


def _scorings(name: str, pictures: Scored, options: argparse.Namespace) -> Iterator[Step]:
    row, end, runs = ROWS[name], pictures.end, options.runs / name
    rounded = ("--precision", options.precision or "bf16")
    exact = ("--precision", options.precision or "32") if row.is_exact else rounded
    exact, rounded = (() if words[1] == "32" else words for words in (exact, rounded))
    masked, retrained = runs / f"ablation{end}", runs / "ablation" / "retrained"
    of_row = partial(_weights, name, options)

    if "evaluate" in options.steps:
        words = ("evaluate", "--suite", "views", *pictures.words, *exact)
        yield _scoring(name, "evaluate", pictures.views, words, options, of_row)
    if "robustness" in options.steps:
        words = ("robustness", *pictures.words, "--limit", str(pictures.limit), *rounded)
        yield _scoring(name, "robustness", f"robustness{end}", words, options, of_row)
    if "ablate" in options.steps and row.has_streams:
        words = ("ablate", *pictures.words, *_reserved(pictures, options), *exact)
        yield _scoring(name, "ablate", f"masked{end}", words, options, of_row, (masked, masked / "masked"))
    if "retrain" in options.steps and row.has_streams and not end:
        config, *changes = row.retrained or (str(runs / "config.yaml"),)
        changes += [f"data={options.data}"] if row.retrained else []
        changed = [word for change in changes for word in ("--set", change)]
        words = ("ablate", "--retrain", config, *changed, *pictures.words, *rounded)
        yield _scoring(name, "retrain", "retrained", words, options, of_row, (masked, retrained))
    if "retrain" in options.steps and row.has_streams and end:  # what was trained above
        for subset in map("+".join, subsets(STREAMS)):
            few = ("--limit", str(RETRAINED_UNSEEN))
            words = ("evaluate", "--condition", "delivered", *pictures.words, *few, *rounded)
            trained = partial(_trained, retrained / subset, retrained / subset / "run")
            yield _scoring(name, "evaluate", f"retrained{end}/{subset}", words, options, trained)
    if "attack" in options.steps:
        words = ("attack", *pictures.words, *pictures.attacks)
        yield _scoring(name, "attack", f"attack{end}", words, options, of_row)


def _reserved(pictures: Scored, options: argparse.Namespace) -> tuple[str, ...]:
    """Where the thresholds of a subset come from, if these pictures have no such split."""
    return ("--calibration-data", str(options.data)) if pictures.end else ()


def _weights(name: str, options: argparse.Namespace) -> Path:
    """The detector of a row: as shipped, or as trained."""
    runs: Path = options.runs / name
    return _trained(runs, runs) if ROWS[name].configs else Path(SHIPPED)


def _trained(folder: Path, run: Path) -> Path:
    """What a run left: calibrated in the folder, or its best checkpoint where fakes do not score above reals."""
    calibrated, checkpoints = folder / "detector.safetensors", run / "checkpoints"
    is_uncalibrated = (checkpoints / "last.safetensors").is_file() and not calibrated.is_file()
    return checkpoints / "best.safetensors" if is_uncalibrated else calibrated


def _training(name: str, options: argparse.Namespace) -> Iterator[Step]:
    row = ROWS[name]
    runs: Path = options.runs / name
    clip = [f"detector.backbone={CLIP}", f"detector.weights={options.clip}", "detector.initialisation=CLIP"]
    changes = [
        f"data={options.data}",
        *row.changes,
        *(f"{key}=none" for key in row.weights if options.no_hub),
        *(clip if row.takes_clip and options.clip else ()),
        *(change for of, change in options.set if of == name),
    ]
    words = [word for config in row.configs for word in ("-c", config)]
    words += [word for change in changes for word in ("--set", change)]
    train = ("train", *words, "-o", str(runs), "--resume")
    best, last = (runs / f"checkpoints/{which}.safetensors" for which in ("best", "last"))
    calibrated = runs / "detector.safetensors"

    def is_trained() -> bool:
        started = _read(runs / "environment.json") if last.is_file() else {}
        return bool(started.get("command") == shlex.join(["tristream", *train]))

    def keep() -> None:
        target = options.results / name / "training"
        target.mkdir(parents=True, exist_ok=True)
        for file in ("config.yaml", "environment.json", "log.jsonl"):
            shutil.copy(runs / file, target / file)

    yield Step(name, "train", lambda: train, is_trained, keep)
    reserved = ("--data", str(options.data), "--split", "reserved")
    fit = ("calibrate", "--checkpoint", str(best), *reserved, "-o", str(calibrated))
    yield Step(name, "calibrate", lambda: fit, calibrated.is_file, needs=lambda: last)


def _scoring(
    name: str,
    kind: str,
    place: str,
    words: tuple[str, ...],
    options: argparse.Namespace,
    weights: Callable[[], Path],
    folders: tuple[Path, Path] | None = None,
) -> Step:
    """A command that scores, and whose records are kept in results/NAME/PLACE.

    folders: --out, and where below it the records are; runs/NAME/PLACE for both where they are the same.
    """
    kept: Path = options.results / name / place
    out, made = folders or (options.runs / name / place,) * 2

    def command() -> tuple[str, ...]:
        return (words[0], "--checkpoint", str(weights()), *words[1:], "--out", str(out))

    def is_done() -> bool:
        return is_recorded(kept, shlex.join(["tristream", *command()]), None if kind == "retrain" else weights())

    return Step(name, kind, command, is_done, lambda: keep_records(made, kept), weights)


def is_recorded(kept: Path, command: str, weights: Path | None) -> bool:
    """Whether there are records, finished, of this command and, if it is named, of this file of weights."""
    records = {path: _read(path) for path in kept.rglob("record.json")}
    if not records or (weights is not None and not weights.is_file()):
        return False
    digest = None if weights is None else file_facts(weights, ["sha256"])["sha256"]
    return all(
        path.with_name("DONE").is_file()
        and record["command"] == command
        and digest in (None, record["checkpoint"]["sha256"])
        for path, record in records.items()
    )


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def keep_records(source: Path, kept: Path) -> None:
    """Copy every finished record below a folder, in place of what was kept before: no weights, nothing half done, and
    no checks of attacks: reports make them from the record."""
    if kept.is_dir():
        shutil.rmtree(kept)
    for done in sorted(source.rglob("DONE")):
        target = kept / done.parent.relative_to(source)
        target.mkdir(parents=True, exist_ok=True)
        for file in done.parent.iterdir():
            if file.is_file() and (file == done or file.suffix in (".json", ".parquet")) and file.name != "checks.json":
                shutil.copy(file, target / file.name)


def run(steps: list[Step], dry_run: bool) -> int:
    """Run what is not done; returns how many failed."""
    took: dict[str, list[float]] = {}
    failed: list[str] = []
    for number, step in enumerate(steps):
        if step.is_done():
            print(f"# {step.row}, {step.kind}: recorded", flush=True)
            continue
        print(f"$ {step.command}", flush=True)
        if dry_run:
            continue
        if step.needs is not None and not step.needs().is_file():
            failed.append(f"{step.row}, {step.kind}: no {step.needs()}")
            continue
        began = time.monotonic()
        status = subprocess.run([*PROGRAM, *step.words()], stdout=sys.stderr, check=False).returncode
        took.setdefault(step.kind, []).append(time.monotonic() - began)
        if status == 0:
            step.keep()
        else:
            failed.append(f"{step.row}, {step.kind}: status {status}")
        print(f"{number + 1}/{len(steps)} steps, {left_h(took, steps[number + 1 :]):.1f} h left", file=sys.stderr)
    for words in failed:
        print(f"failed: {words}", file=sys.stderr)
    return len(failed)


def left_h(took: dict[str, list[float]], steps: list[Step]) -> float:
    """Hours that the steps which are not recorded will take, by those of their kind, or by all, that were run."""
    every = [seconds for of_kind in took.values() for seconds in of_kind]
    todo = [took.get(step.kind, every) for step in steps if not step.is_done()]
    return sum(sum(of_kind) / len(of_kind) for of_kind in todo) / 3600


def main() -> None:
    """Parse, plan, run."""
    kinds = ("train", "evaluate", "robustness", "ablate", "retrain", "attack")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="manifest with the splits train, reserved and test")
    parser.add_argument("--unseen", type=Path, required=True, help="manifest of other generators and photo sources")
    parser.add_argument("--runs", type=Path, default=Path("runs/protocol"), help="training and unfinished work")
    parser.add_argument("--results", type=Path, default=Path("results"), help="finished records")
    parser.add_argument("--rows", type=_some_of(tuple(ROWS)), default=tuple(ROWS), help=", ".join(ROWS))
    parser.add_argument("--steps", type=_some_of(kinds), default=kinds, help=", ".join(kinds))
    parser.add_argument("--clip", type=Path, help=f"weights of {CLIP} as safetensors, in place of the hub")
    parser.add_argument("--no-hub", action="store_true", help="random weights in place of the hub's, but for CLIP")
    parser.add_argument("--set", type=_change, action="append", default=[], metavar="ROW:KEY=VALUE",
                        help="for a row's training")  # fmt: skip
    parser.add_argument("--limit", type=int, default=LIMIT, help=f"pictures for robustness, {LIMIT} by default")
    parser.add_argument("--limit-unseen", type=int, default=LIMIT_UNSEEN, help=f"of the others, {LIMIT_UNSEEN}")
    parser.add_argument("--precision", choices=("32", "bf16"),
                        help="of evaluate, robustness, ablate; bf16, but for the views and the masked streams of "
                        f"{' and '.join(name for name, row in ROWS.items() if row.is_exact)}")  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="print the commands that are left")
    options = parser.parse_args()
    sys.exit(1 if run(list(plan(options)), options.dry_run) else 0)


def _some_of(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        chosen = text.split(",")
        if unknown := sorted(set(chosen) - set(known)):
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: expected some of {', '.join(known)}")
        return tuple(name for name in known if name in chosen)

    return parse


def _change(text: str) -> tuple[str, str]:
    row, colon, change = text.partition(":")
    if not colon or row not in ROWS or not ROWS[row].configs:
        raise argparse.ArgumentTypeError(f"{text}: expected ROW:KEY=VALUE with the name of a row that is trained")
    return row, change


if __name__ == "__main__":
    main()
