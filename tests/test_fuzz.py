"""Five hundred mutated pictures end as pictures or error records, and the harness sees what must not happen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("resource", reason="limits on a process are there on Linux and macOS only")

TOOLS = Path(__file__).parents[1] / "tools"


@pytest.fixture
def fuzz_pictures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(TOOLS)
    import fuzz_pictures

    return fuzz_pictures


def test_mutated_pictures_decode_or_become_error_records(tmp_path: Path) -> None:
    out = tmp_path / "fuzz.json"
    command = [sys.executable, TOOLS / "fuzz_pictures.py", "--count", "500", "--seed", "500", "-o", out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(out.read_text(encoding="utf-8"))
    assert (done.returncode, found["failures"]) == (0, [])
    assert found["outcomes"]["decoded"] + found["outcomes"]["error"] == found["count"] == 500
    assert found["mutations"]["intact"].keys() == {"decoded"}
    assert found["outcomes"]["error"] > 200
    assert "other" not in found["errors"]


PLANTED = """
import json, os, sys, time
for line in sys.stdin:
    index = int(line)
    if index == 1:
        os.abort()
    if index == 2:
        import signal
        signal.setitimer(signal.ITIMER_PROF, 0.1)
        while True:
            pass
    if index == 3:
        time.sleep(60)
    if index == 4:
        sys.exit(3)
    outcome = "exception" if index == 5 else "decoded"
    answer = {"outcome": outcome, "mutation": "m", "drawn_as": "d", "error": None, "cpu_s": index, "memory_mib": 9}
    print(json.dumps(answer), flush=True)
"""


def test_a_crash_a_hang_a_sleep_and_an_exception_are_counted_and_the_next_file_is_tried(
    fuzz_pictures: ModuleType,
) -> None:
    found = fuzz_pictures.fuzz([sys.executable, "-c", PLANTED], 8, wall_limit_s=10)
    assert found["outcomes"] == {
        "decoded": 3,
        "error": 0,
        "exception": 1,
        "crash": 2,
        "over time": 2,
        "intact refused": 0,
        "predict differs": 0,
    }
    assert [failure["index"] for failure in found["failures"]] == [1, 2, 3, 4, 5]
    assert [failure["error"] for failure in found["failures"][:4]] == [
        "signal 6",
        "signal 27",
        "no answer",
        "exit status 3",
    ]
    assert (found["slowest_cpu_s"], found["slowest"]["index"]) == (7, 7)


def test_a_leak_of_the_decoder_and_a_silent_predictor_are_failures(
    fuzz_pictures: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mutants

    trial = fuzz_pictures._Trial()
    whole = mutants.drawn()["PNG 0"]
    assert trial(whole) == ("decoded", None)
    outcome, error = trial(whole[:60])
    assert outcome == "error"
    assert fuzz_pictures.error_kind(error) == "truncated"
    monkeypatch.setattr("tristream.images.decode.to_rgb", lambda picture, name: picture.nowhere)
    assert trial(whole)[0] == "error"  # wrapped by decode
    monkeypatch.setattr("tristream.images.decode._name", lambda source: 1 / 0)
    assert trial(whole) == ("exception", "ZeroDivisionError: division by zero")


def test_mutants_are_a_function_of_seed_and_index(fuzz_pictures: ModuleType) -> None:
    import mutants

    once, again = ([mutants.mutant(3, index) for index in range(60)] for _ in range(2))
    assert once == again
    assert mutants.mutant(4, 0) != once[0]
    assert {mutant.mutation for mutant in once} > {"intact", "flipped_bits", "chunks", "sizes"}


def test_changes_inside_a_png_survive_its_checksums(fuzz_pictures: ModuleType) -> None:
    import containers
    import mutants

    from tristream.images.decode import read_header

    whole = mutants.drawn()["PNG 1"]
    (width, code), _ = containers.size_fields(whole)
    wider = containers.with_checksums(containers.with_number(whole, width, code, 77))
    assert read_header(wider).width == 77
    assert b"".join(containers.split(whole)) == whole
