"""A Session on PyTorch: for training, evaluation and, until the light runtime takes over, for `predict`."""

from __future__ import annotations

import torch

from tristream.detectors.base import Detector
from tristream.runtime.session import Float32, Scores


class TorchSession:
    """Runs a detector in eval mode, channels-last, without gradients; float32 unless told otherwise."""

    def __init__(
        self,
        detector: Detector,
        device: str | torch.device = "cpu",
        *,
        stream_mask: tuple[bool, ...] | None = None,
        autocast: bool = False,
    ) -> None:
        """stream_mask: which of the S streams take part, None for all. autocast: bfloat16 where the operator allows it.

        The detector is used, not copied.
        """
        self.device = torch.device(device)
        self.detector = detector.to(self.device).to(memory_format=torch.channels_last)
        self._autocast = autocast
        self._mask = None if stream_mask is None else torch.tensor(stream_mask, device=self.device)

    @property
    def stream_names(self) -> tuple[str, ...]:
        return self.detector.stream_names

    def run(self, pixels: Float32) -> Scores:
        was_training = self.detector.training
        self.detector.eval()
        try:
            with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self._autocast):
                batch = torch.from_numpy(pixels).to(self.device, memory_format=torch.channels_last)
                mask = None if self._mask is None else self._mask.expand(len(batch), -1)
                output = self.detector(batch, mask)
        finally:
            self.detector.train(was_training)
        weights = output.stream_weights
        return Scores(output.logits.float().cpu().numpy(), None if weights is None else weights.float().cpu().numpy())
