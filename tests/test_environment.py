"""What a run ran on: what the system says, and nothing that names a person or a place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tristream import environment

CPUINFO = """processor\t: 0
model name\t: Planted CPU 9000
flags\t\t: fpu avx2 avx512f avx512_vnni amx_tile
processor\t: 1
model name\t: Another
"""


@pytest.fixture
def cpuinfo(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    def plant(text: str | None) -> None:
        def read(path: Path, encoding: str = "utf-8") -> str:
            if text is None:
                raise FileNotFoundError(path)
            return text

        monkeypatch.setattr(Path, "read_text", read)

    return plant


def test_name_and_features_of_the_processor(cpuinfo) -> None:  # type: ignore[no-untyped-def]
    cpuinfo(CPUINFO)
    assert environment.processor() == "Planted CPU 9000"
    assert environment.processor_features() == ("avx2", "avx512", "vnni")


def test_a_system_that_does_not_say(cpuinfo) -> None:  # type: ignore[no-untyped-def]
    cpuinfo(None)
    assert environment.processor_features() == ()
    assert environment.processor()


def test_a_container_limits_the_memory(cpuinfo) -> None:  # type: ignore[no-untyped-def]
    cpuinfo("1048576\n")
    assert environment.memory_bytes() in (1048576, None)
    cpuinfo("max\n")
    assert (environment.memory_bytes() or 2**40) > 1048576


def test_no_person_and_no_place() -> None:
    described = str(environment.describe_environment())
    assert str(Path.home()) not in described
    assert environment.usable_cores() >= 1
