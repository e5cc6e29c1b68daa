"""Embeddings by the frozen part of a detector, computed once and kept beside the run.

What does not learn need not run in every step: a linear probe on 2,000 pictures then trains in seconds.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from tristream.data.dataset import PictureDataset, View, collate
from tristream.data.manifest import Manifest
from tristream.detectors.backbones import read_safetensors
from tristream.detectors.base import Probe
from tristream.detectors.checkpoint import write_safetensors
from tristream.runtime.session import Float32, Scores
from tristream.runtime.torch_session import TorchSession, scores_of

log = logging.getLogger(__name__)

# N pictures, B crops, E embedding

Progress = Callable[[int, int], None]
_BATCH = 32
_KEY = "key"


@dataclass(frozen=True)
class FrozenNetwork:
    """What embeds, on which device, in which precision."""

    embed: Callable[[Tensor], Tensor]
    """f32[B, 3, H, W] in [0, 1] to f32[B, E], without gradients."""
    device: torch.device
    autocast: Callable[[], AbstractContextManager[object]]


def kept_embeddings(
    cache: Path,
    key: str,
    network: Callable[[], FrozenNetwork],
    manifest: Manifest,
    view: View,
    *,
    copy: int = 0,
    workers: int = 0,
    progress: Progress | None = None,
) -> Tensor:
    """Embedding of what `view` makes of each picture in epoch `copy`, from `cache` where it holds just that.

    key: all that decides the embeddings, apart from the pictures; network: called where they have to be computed. They
    are rounded to half precision, also on first use, so that a resumed run sees the same. Returns f32[N, E].
    """
    pictures: list[str] = manifest.table["sha256"].tolist()
    key = hashlib.sha256("\n".join([key, str(copy), *pictures]).encode()).hexdigest()
    if _key_of(cache) == key:
        return read_safetensors(cache)["embeddings"]
    frozen = network()
    rows = [[(copy, row) for row in range(start, min(start + _BATCH, len(pictures)))]
            for start in range(0, len(pictures), _BATCH)]  # fmt: skip
    parts: list[Tensor] = []
    dataset = PictureDataset(manifest, view)
    for batch in DataLoader(dataset, batch_sampler=rows, collate_fn=collate, num_workers=workers):
        with torch.inference_mode(), frozen.autocast():
            parts.append(frozen.embed(batch.pixels.to(frozen.device)).half().cpu())
        if progress:
            progress(sum(map(len, parts)), len(pictures))
    embeddings = torch.cat(parts)
    write_safetensors(cache, {"embeddings": embeddings}, {_KEY: key})
    return embeddings.float()


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
    """So many augmented copies of each picture, embedded, a file for each in `folder`: a killed run loses one."""
    made = []
    for copy in range(copies):

        def report(done: int, total: int, words: str = f"embedding copy {copy + 1} of {copies}") -> None:
            if done % (20 * _BATCH) == 0 or done == total:
                log.info("%s: %d of %d", words, done, total)

        cache = folder / f"copy-{copy}.safetensors"
        made.append(
            kept_embeddings(cache, key, lambda: network, manifest, view, copy=copy, workers=workers, progress=report)
        )
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


def weights_digest(module: nn.Module) -> str:
    """SHA-256 (hex) of a module's frozen parameters and its buffers, names included."""
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        if name not in trained:
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
