"""What a run ran on: versions, processor, memory, accelerator; for the records that stand beside every number."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = (
    "tristream",
    "numpy",
    "pillow",
    "openvino",
    "onnxruntime",
    "torch",
    "torchvision",
    "timm",
    "lightning",
    "scikit-learn",
    "pandas",
)

_FEATURES = {
    "avx2": ("avx2",),
    "avx512": ("avx512f",),
    "vnni": ("avx512_vnni", "avx_vnni"),
    "bf16": ("avx512_bf16", "bf16"),
    "amx-int8": ("amx_int8",),
    "amx-bf16": ("amx_bf16",),
    "neon": ("asimd",),
    "dot-product": ("asimddp",),
    "i8mm": ("i8mm",),
}
"""Instructions that decide how fast a detector runs, and the flags of /proc/cpuinfo that stand for each. vnni,
dot-product and i8mm multiply int8; with bf16 or AMX a runtime may compute in bfloat16 unless it is told not to."""


def describe_environment() -> dict[str, object]:
    """Python, packages, processor and accelerator. Holds no user name, host name or path."""
    found: dict[str, str] = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "processor_features": list(processor_features()),
        "cores": os.cpu_count(),
        "accelerator": accelerator(),
        "packages": found,
    }


def processor() -> str:
    """The processor's name as the system gives it."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def processor_features() -> tuple[str, ...]:
    """Which of the instructions that matter for inference it has; empty where the system does not say (not Linux)."""
    flags = set((_cpuinfo("flags") or _cpuinfo("Features")).split())
    return tuple(name for name, any_of in _FEATURES.items() if flags.intersection(any_of))


def usable_cores() -> int:
    """Cores that this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int | None:
    """Memory of the machine, or of the container where that is less; None where the system does not say."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    try:
        container = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no container, or "max": no limit
        return machine
    return min(machine, container)


def accelerator() -> str | None:
    """Name of the first GPU that PyTorch sees. None without one, and without PyTorch, which is imported here."""
    try:
        import torch
    except ImportError:
        return None
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def _cpuinfo(key: str) -> str:
    """Value of a key in /proc/cpuinfo, of the first processor; "" where there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next(
        (value.strip() for name, _, value in (line.partition(":") for line in lines) if name.strip() == key), ""
    )
