"""Embeddings by the frozen part of a detector, computed once and kept beside the run.

What does not learn need not run in every step: a linear probe on 2,000 pictures then trains in seconds.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from tristream.data.dataset import PictureDataset, View, collate
from tristream.data.manifest import Manifest
from tristream.detectors.backbones import read_safetensors
from tristream.detectors.base import Embedder, Probe
from tristream.detectors.checkpoint import write_safetensors
from tristream.runtime.session import Scores
from tristream.runtime.torch_session import TorchSession, scores_of
from tristream.typing import Float32, Progress

log = logging.getLogger(__name__)

# N pictures, B crops, E embedding

_BATCH = 32
_KEY = "key"


@dataclass(frozen=True)
class FrozenNetwork:
    """What embeds, on which device, in which precision. Its embedders are frozen and in eval mode."""

    embedders: Mapping[str, Embedder]
    device: torch.device
    autocast: Callable[[], AbstractContextManager[object]]


def kept_embeddings(
    folder: Path,
    key: str,
    network: FrozenNetwork,
    manifest: Manifest,
    view: View,
    *,
    copy: int = 0,
    workers: int = 0,
    progress: Progress | None = None,
) -> Tensor:
    """Embedding of what `view` makes of each picture in epoch `copy`; each embedder has a file of its own in `folder`.

    A file that holds just that is read; the others are made in one pass over the pictures. key: all that decides the
    embeddings, apart from the pictures and the embedders. They are rounded to half precision, also on first use, so
    that a resumed run sees the same. Returns f32[N, E].
    """
    pictures: list[str] = manifest.table["sha256"].tolist()
    files = {name: folder / f"{name}-copy-{copy}.safetensors" for name in network.embedders}
    keys = {
        name: hashlib.sha256("\n".join([key, digest_of(embedder), str(copy), *pictures]).encode()).hexdigest()
        for name, embedder in network.embedders.items()
    }
    missing = [name for name, file in files.items() if _key_of(file) != keys[name]]
    if missing:
        rows = [[(copy, row) for row in range(start, min(start + _BATCH, len(pictures)))]
                for start in range(0, len(pictures), _BATCH)]  # fmt: skip
        parts: dict[str, list[Tensor]] = {name: [] for name in missing}
        batches = DataLoader(
            PictureDataset(manifest, view), batch_sampler=rows, collate_fn=collate, num_workers=workers
        )
        for number, batch in enumerate(batches):
            pixels = batch.pixels.to(network.device)
            with torch.inference_mode(), network.autocast():
                for name, found in parts.items():
                    found.append(network.embedders[name].embed(pixels).half().cpu())
            if progress:
                progress(number * _BATCH + len(pixels), len(pictures))
        for name, found in parts.items():
            write_safetensors(files[name], {"embeddings": torch.cat(found)}, {_KEY: keys[name]})
    return torch.cat([read_safetensors(file)["embeddings"].float() for file in files.values()], dim=-1)


class EmbeddedPictures(Dataset[tuple[Float32, int, int]]):
    """A PictureDataset behind the frozen part: for (epoch, row), the embedding of copy `epoch` modulo the copies."""

    def __init__(self, copies: list[Tensor], labels: list[int]) -> None:
        """copies: f32[N, E] each."""
        self._copies, self._labels = [copy.numpy() for copy in copies], labels

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Float32, int, int]:
        epoch, row = key
        return self._copies[epoch % len(self._copies)][row], self._labels[row], row


def embedded_pictures(
    network: FrozenNetwork, folder: Path, key: str, manifest: Manifest, view: View, copies: int, workers: int
) -> EmbeddedPictures:
    """So many augmented copies of each picture, embedded, each kept in `folder`: a killed run loses one."""
    made = []
    for copy in range(copies):

        def report(done: int, total: int, words: str = f"embedding copy {copy + 1} of {copies}") -> None:
            if done % (20 * _BATCH) == 0 or done == total:
                log.info("%s: %d of %d", words, done, total)

        made.append(kept_embeddings(folder, key, network, manifest, view, copy=copy, workers=workers, progress=report))
    return EmbeddedPictures(made, manifest.table["label"].tolist())


class ProbeSession(TorchSession):
    """Scores with a probe; a crop that it has seen is not embedded again, so that only the trained part runs."""

    def __init__(self, detector: Probe, device: str | torch.device = "cpu") -> None:
        super().__init__(detector, device)
        self._probe = detector
        self._seen: dict[bytes, Tensor] = {}

    def run(self, pixels: Float32) -> Scores:
        keys = [hashlib.sha256(np.ascontiguousarray(crop).data).digest() for crop in pixels]
        new = [row for row, key in enumerate(keys) if key not in self._seen]
        with torch.inference_mode():
            if new:
                embeddings = self._probe.eval().embed(torch.from_numpy(pixels[new]).to(self.device))
                self._seen |= {keys[row]: embedding for row, embedding in zip(new, embeddings, strict=True)}
            return scores_of(self._probe.classify(torch.stack([self._seen[key] for key in keys])))


def digest_of(embedder: Embedder) -> str:
    """SHA-256 (hex) of its options, parameters and buffers, names included."""
    digest = hashlib.sha256(embedder.options.encode())
    for module in embedder.modules:
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _key_of(cache: Path) -> str | None:
    """Under which key a cache was written; None for a file that is not there or is none."""
    try:
        with safe_open(cache, framework="pt") as file:
            return (file.metadata() or {}).get(_KEY)
    except (OSError, SafetensorError):
        return None
