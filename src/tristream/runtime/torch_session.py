"""A Session on PyTorch: for training, evaluation, and `predict` with a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from tristream.detectors.base import Detector, DetectorOutput
from tristream.runtime.session import Scores
from tristream.typing import Float32


class TorchSession:
    """Runs a detector in eval mode, channels-last, without gradients; float32 unless told otherwise."""

    def __init__(self, detector: Detector, device: str | torch.device = "cpu", *, autocast: bool = False) -> None:
        """The detector is used, not copied. autocast: bfloat16 where the operator allows it."""
        self.device = torch.device(device)
        self.detector = detector.to(self.device).to(memory_format=torch.channels_last)
        self._autocast = autocast

    @property
    def stream_names(self) -> tuple[str, ...]:
        return self.detector.stream_names

    def run(self, pixels: Float32) -> Scores:
        with self._inference():
            return scores_of(self.detector(self._batch(pixels)))

    def run_subsets(self, pixels: Float32, subsets: Sequence[tuple[str, ...]]) -> list[Scores]:
        """See `MaskingSession`. Raises ValueError for a detector without streams."""
        masks_MS = torch.tensor([[name in subset for name in self.stream_names] for subset in subsets])
        with self._inference():
            batch = self._batch(pixels)
            features = self.detector(batch).features
            masks = [mask_S.to(self.device).expand(len(batch), -1) for mask_S in masks_MS]
            return [scores_of(self.detector.fuse(features, mask_BS)) for mask_BS in masks]

    def _batch(self, pixels: Float32) -> torch.Tensor:
        return torch.from_numpy(pixels).to(self.device, memory_format=torch.channels_last)

    @contextmanager
    def _inference(self) -> Iterator[None]:
        was_training = self.detector.training
        self.detector.eval()
        try:
            with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self._autocast):
                yield
        finally:
            self.detector.train(was_training)


def scores_of(output: DetectorOutput) -> Scores:
    """A detector's output as float32 arrays on the CPU."""
    weights, tokens = (None if x is None else x.float().cpu().numpy() for x in (output.stream_weights, output.tokens))
    return Scores(output.logits.float().cpu().numpy(), weights, tokens)
