"""Evaluate a checkpoint file on a manifest file, with a record of what was run on what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tristream.data.files import file_facts
from tristream.data.manifest import Manifest
from tristream.detectors.checkpoint import load_checkpoint
from tristream.environment import describe_environment
from tristream.errors import UsageError
from tristream.evaluation.runner import Progress, evaluate
from tristream.evaluation.summary import Summary
from tristream.runtime.engines import shipped_weights, torch_device
from tristream.runtime.torch_session import TorchSession


def evaluate_checkpoint(
    checkpoint: Path | None,
    data: Path,
    split: str | None,
    out: Path,
    *,
    conditions: Sequence[str] = ("delivered", "alike"),
    device: str = "auto",
    precision: str = "32",
    seed: int = 0,
    progress: Progress | None = None,
    command: str = "",
) -> Summary:
    """Score and summarise; `out` then holds predictions.parquet, metrics.json and record.json.

    checkpoint: None for the shipped detector. precision: "32", or "bf16" for autocast.
    Raises UsageError, CheckpointError, ManifestError.
    """
    if precision not in ("32", "bf16"):
        raise UsageError(f"precision '{precision}': expected 32 or bf16")
    path = checkpoint or shipped_weights()
    loaded = load_checkpoint(path)
    manifest = Manifest.read(data)
    splits = sorted(set(manifest.table["split"]))
    if split is not None:
        manifest = manifest.split(split)
    elif len(splits) > 1:
        raise UsageError(
            f"{data} has the splits {', '.join(filter(None, splits))}; name the one to evaluate with --split"
        )
    resolved_device = torch_device(device)
    record = {
        "command": command,
        "checkpoint": {"name": loaded.metadata.name, "file": path.name, **file_facts(path, ["sha256"])},
        "data": f"{data.parent.name}/{data.name}",
        "split": split,
        "precision": precision,
        "device": resolved_device,
        "environment": describe_environment(),
    }
    session = TorchSession(loaded.detector, resolved_device, autocast=precision == "bf16")
    return evaluate(
        session,
        loaded.metadata.preprocessing,
        loaded.metadata.calibration,
        manifest.with_file_columns(["sha256"]),
        out,
        record,
        conditions=conditions,
        seed=seed,
        progress=progress,
    )
