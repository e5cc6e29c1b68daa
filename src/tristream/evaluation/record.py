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
from tristream.runtime.engines import OpenDetector, open_session, shipped_weights, torch_device
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

    checkpoint: .safetensors, or .onnx from an export; None for the shipped weights. precision: "32", or "bf16" for
    autocast. Raises UsageError, CheckpointError, ManifestError.
    """
    if precision not in ("32", "bf16"):
        raise UsageError(f"precision '{precision}': expected 32 or bf16")
    path = checkpoint or shipped_weights()
    opened = _open(path, device, precision)
    manifest = Manifest.read(data)
    splits = sorted(set(manifest.table["split"]))
    if split is not None:
        manifest = manifest.split(split)
    elif len(splits) > 1:
        raise UsageError(
            f"{data} has the splits {', '.join(filter(None, splits))}; name the one to evaluate with --split"
        )
    record = {
        "command": command,
        "checkpoint": {"name": opened.metadata.name, "file": path.name, **file_facts(path, ["sha256"])},
        "data": f"{data.parent.name}/{data.name}",
        "split": split,
        "precision": precision,
        "engine": opened.engine,
        "environment": describe_environment(),
    }
    return evaluate(
        opened.session,
        opened.metadata.preprocessing,
        opened.metadata.calibration,
        manifest.with_file_columns(["sha256"]),
        out,
        record,
        conditions=conditions,
        seed=seed,
        progress=progress,
    )


def _open(path: Path, device: str, precision: str) -> OpenDetector:
    """Open a checkpoint or an exported file; bfloat16 is for checkpoints."""
    if precision == "32":
        return open_session(path, device)
    if path.suffix == ".onnx":
        raise UsageError(f"precision {precision}: an .onnx file computes as it was exported; leave --precision out")
    loaded = load_checkpoint(path)
    session = TorchSession(loaded.detector, torch_device(device), autocast=True)
    return OpenDetector(session, loaded.metadata, f"PyTorch, {precision} autocast, {session.device}")
