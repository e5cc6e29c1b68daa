"""Hands thousands of broken and hostile files to the scoring path: each must end as a picture or as an error record.

usage: python tools/fuzz_pictures.py [--count 10000] [--seed 0] [-o results/fuzz.json]      (Linux or macOS)

Every mutant (see `mutants`) goes through `read_header`, `decode` and `Predictor.predict_many` in a worker process. The
detector is a trivial one, for what is tested is all that comes before and after it. The kernel ends a worker that
takes more than CPU_LIMIT_S of processor time for one file, so a busy machine does not look like a hang; a worker that
does not answer within WALL_LIMIT_S sleeps, which is a hang, too. Whatever ends a worker is counted, and a new one goes
on with the next file. Exit status 1 when anything but pictures and error records was seen.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import queue
import re
import resource
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CPU_LIMIT_S = 30.0
WALL_LIMIT_S = 600.0
MEMORY_LIMIT = 6 << 30
"""Address space of a worker in bytes: room for the largest picture that `decode` allows, 200 megapixels with alpha."""

FAILURES = ("exception", "crash", "over time", "intact refused", "predict differs")
"""Outcomes that must not be."""
KINDS = {
    "empty": "empty file",
    "truncated": "truncated ",
    "too many pixels": "header claims",
    "not enough memory": "not enough memory",
    "damaged or unusual": "damaged or unusual",
    "too many scans": " scans",
    "samples without a known white": "samples",
    "another kind of file": "extract|unpack|web page|JSON|SVG|video|raw file|LFS|JPEG XL|JPEG 2000|Photoshop",
    "not a picture": "not a picture",
}
"""Kinds of ImageError by what their message says; the first that fits counts."""


def main() -> None:
    """Read the arguments, fuzz, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.seed)
        return
    found = fuzz([sys.executable, __file__, "--worker", "--seed", str(arguments.seed)], arguments.count)
    command = ["python", "tools/fuzz_pictures.py", "--count", str(arguments.count), "--seed", str(arguments.seed)]
    if arguments.output:
        from tristream.environment import describe_environment

        command += ["-o", arguments.output.as_posix()]
        record = {
            "command": shlex.join(command),
            "seed": arguments.seed,
            **found,
            "environment": describe_environment(),
        }
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({key: found[key] for key in ("count", "outcomes", "errors", "slowest_cpu_s")}, indent=1))
    sys.exit(1 if found["failures"] else 0)


def fuzz(worker: Sequence[str], count: int, wall_limit_s: float = WALL_LIMIT_S) -> dict[str, Any]:
    """Have mutants 0 to count - 1 tried by a worker process, restarted when it ends.

    worker: its command line; it reads one index per line and answers with one line of JSON: outcome, mutation,
    drawn_as, error (text or null), cpu_s, memory_mib. Returns the counts and every failure.
    """
    outcomes, errors = Counter[str](), Counter[str]()
    failures: list[dict[str, Any]] = []
    mutations: dict[str, Counter[str]] = {}
    slowest: dict[str, Any] = {"cpu_s": -1.0}
    memory_mib = 0
    running: _Worker | None = None
    began = last = time.monotonic()
    for index in range(count):
        running = running or _Worker(worker)
        answer = running.ask(index, wall_limit_s)
        if "mutation" not in answer:  # the worker ended
            running = None
        answer["index"] = index
        outcomes[answer["outcome"]] += 1
        if answer["outcome"] in FAILURES:
            failures.append(answer)
        if answer["outcome"] == "error":
            errors[error_kind(answer["error"])] += 1
        mutations.setdefault(answer.get("mutation", "unknown"), Counter())[answer["outcome"]] += 1
        slowest = max(slowest, answer, key=lambda a: a.get("cpu_s", -1.0))
        memory_mib = max(memory_mib, answer.get("memory_mib", 0))
        if (now := time.monotonic()) - last > 30 or index + 1 == count:
            last = now
            left_min = (now - began) / (index + 1) * (count - index - 1) / 60
            print(
                f"{index + 1}/{count}, {len(failures)} failures, {left_min:.1f} min left", file=sys.stderr, flush=True
            )
    if running:
        running.close()
    return {
        "count": count,
        "outcomes": {name: outcomes[name] for name in ("decoded", "error", *FAILURES)},
        "errors": dict(errors.most_common()),
        "mutations": {name: dict(sorted(of.items())) for name, of in sorted(mutations.items())},
        "slowest_cpu_s": slowest["cpu_s"],
        "slowest": {key: slowest.get(key) for key in ("index", "mutation", "drawn_as", "outcome")},
        "memory_mib": memory_mib,
        "limits": {"cpu_s": CPU_LIMIT_S, "wall_s": wall_limit_s, "memory_mib": MEMORY_LIMIT >> 20},
        "failures": failures,
    }


def error_kind(message: str) -> str:
    """The kind of an ImageError, from its message without the file's name."""
    text = message.partition(": ")[2]
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, text)), "other")


class _Worker:
    """A worker process and the thread that waits for its lines."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )  # libraries complain on standard error, thousands of times
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def ask(self, index: int, wall_limit_s: float) -> dict[str, Any]:
        """The worker's answer about one mutant, or, without `mutation`, how the worker ended."""
        assert self._process.stdin
        try:
            self._process.stdin.write(f"{index}\n")
            self._process.stdin.flush()
            line = self._lines.get(timeout=wall_limit_s)
        except (BrokenPipeError, queue.Empty):
            line = ""
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        hangs = self._process.poll() is None and self._still_runs()
        self.close()
        status = self._process.returncode
        over = hangs or status == -signal.SIGPROF
        words = "no answer" if hangs else f"signal {-status}" if status < 0 else f"exit status {status}"
        return {"outcome": "over time" if over else "crash", "error": words}

    def _still_runs(self) -> bool:
        """Whether the process is there a moment after its output ended, or never ended it."""
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            return True
        return False

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def work(seed: int) -> None:
    """The worker: for each index read, one line about its mutant."""
    import mutants  # beside this file

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    trial = _Trial()
    for line in sys.stdin:
        mutant = mutants.mutant(seed, int(line))
        began = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT_S)  # its signal ends the process
        outcome, error = trial(mutant.data)
        signal.setitimer(signal.ITIMER_PROF, 0)
        if mutant.mutation == "intact" and outcome != "decoded":
            outcome = "intact refused"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS, KiB elsewhere
        answer = {"outcome": outcome, "mutation": mutant.mutation, "drawn_as": mutant.drawn_as, "error": error}
        answer |= {
            "cpu_s": round(time.process_time() - began, 3),
            "memory_mib": peak >> (20 if sys.platform == "darwin" else 10),
        }
        print(json.dumps(answer), flush=True)


class _Trial:
    """One file through `read_header`, `decode` and `predict_many`."""

    def __init__(self) -> None:
        from tristream.metadata import ModelMetadata
        from tristream.runtime.predictor import Predictor

        self._predictor = Predictor(_Brightness(), ModelMetadata(name="brightness", detector="brightness", config={}))

    def __call__(self, data: bytes) -> tuple[str, str | None]:
        """The outcome and the message of what was raised."""
        from tristream.errors import ImageError
        from tristream.images.decode import decode, read_header

        error: str | None = None
        try:
            with contextlib.suppress(ImageError):
                read_header(data)
            try:
                decode(data, "picture in memory")
            except ImageError as refused:
                error = str(refused)
            (prediction,) = self._predictor.predict_many([data], stability=1, workers=1)
            prediction.model_dump_json()
        except Exception as leaked:  # whatever it is: that it is not an ImageError is what is looked for
            return "exception", f"{type(leaked).__name__}: {leaked}"
        if prediction.error != error or (prediction.logit is None) != (error is not None):
            return "predict differs", f"decode: {error}; predict: {prediction.error}"
        return ("decoded" if error is None else "error"), error


class _Brightness:
    """A Session without a detector: the logit is the mean brightness."""

    stream_names = ()

    def run(self, pixels: Any) -> Any:
        from tristream.runtime.session import Scores

        return Scores(pixels.mean((1, 2, 3)), None)


if __name__ == "__main__":
    main()
