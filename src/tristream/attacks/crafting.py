"""Adversarial crops by the Adversarial Robustness Toolbox, from any detector that gives gradients.

The detector is shown to it as two scores, [0, z - threshold] with the logit z: whoever crosses the detector's stored
threshold has succeeded. It runs in eval mode and float32 on pixels in [0, 1], its normalisation being inside.
FGSM and PGD climb the margin itself, not the cross-entropy: with two classes both have gradients of the same signs, and
the margin's does not vanish where a detector is sure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from art.attacks.evasion import CarliniL2Method, FastGradientMethod
from art.attacks.evasion.projected_gradient_descent.projected_gradient_descent_pytorch import (
    ProjectedGradientDescentPyTorch,
)
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from tristream.attacks.budget import Attack, CarliniWagner, FastGradientSign, ProjectedGradientDescent
from tristream.detectors.base import Detector
from tristream.errors import UsageError
from tristream.evaluation.conditions import PictureContext
from tristream.typing import Float32, Int64

# B crops; two scores: real, fake


class Crafter:
    """Crafts crops against one detector, each away from its own label; what is random follows from (seed, picture)."""

    def __init__(self, detector: Detector, device: torch.device, threshold: float, crop: int) -> None:
        """threshold: logit from which a picture is called fake; crop: side in px.

        The detector is used, not copied, and its parameters take no gradients from here on. Raises UsageError for one
        whose logit has no gradient with respect to its pixels.
        """
        detector.eval().requires_grad_(False)
        if device.type == "cuda":
            torch.cuda.set_device(device)  # the library takes the current one
        probe = torch.rand(1, 3, crop, crop, device=device, requires_grad=True)
        if not detector(probe).logits.requires_grad:
            raise UsageError(f"{type(detector).__name__} gives no gradients of its pixels: these attacks need them")
        self._classifier = _Classifier(
            model=_TwoScores(detector, threshold),
            loss=_Margin(),
            input_shape=(3, crop, crop),
            nb_classes=2,
            clip_values=(0.0, 1.0),
            device_type="gpu" if device.type == "cuda" else "cpu",
        )

    def craft(self, attack: Attack, pictures: Sequence[Float32], contexts: Sequence[PictureContext]) -> list[Float32]:
        """Attack every crop by itself. pictures: per picture f32[N, 3, H, W] in [0, 1]; the same comes back."""
        counts = [len(crops) for crops in pictures]
        label_B = np.repeat([context.label for context in contexts], counts)
        crops_B = np.concatenate(list(pictures))
        crafted_B = self._generator(attack, pictures, contexts).generate(crops_B, np.eye(2, dtype=np.float32)[label_B])
        return np.split(np.asarray(crafted_B, np.float32), np.cumsum(counts)[:-1])

    def _generator(self, attack: Attack, pictures: Sequence[Float32], contexts: Sequence[PictureContext]) -> Any:
        shared = {"batch_size": sum(map(len, pictures)), "targeted": False}
        match attack:
            case FastGradientSign():
                return FastGradientMethod(self._classifier, norm=np.inf, eps=attack.epsilon, **shared)
            case ProjectedGradientDescent():
                starts = [
                    context.rng(attack.name).uniform(-attack.epsilon, attack.epsilon, crops.shape)
                    for crops, context in zip(pictures, contexts, strict=True)
                ]
                start_B = torch.from_numpy(np.concatenate(starts).astype(np.float32)).to(self._classifier.device)
                return _Projected(
                    start_B, self._classifier, norm=np.inf, eps=attack.epsilon, eps_step=attack.step_size,
                    max_iter=attack.steps, num_random_init=1, verbose=False, **shared,
                )  # fmt: skip
            case CarliniWagner():
                return CarliniL2Method(
                    self._classifier, confidence=attack.confidence, binary_search_steps=attack.search_steps,
                    max_iter=attack.iterations, initial_const=attack.initial_weight, verbose=False, **shared,
                )  # fmt: skip


class _TwoScores(nn.Module):
    def __init__(self, detector: Detector, threshold: float) -> None:
        super().__init__()
        self._detector, self._threshold = detector, threshold

    def forward(self, pixels: Tensor) -> Tensor:
        margin_B = self._detector(pixels).logits - self._threshold
        return torch.stack([torch.zeros_like(margin_B), margin_B], dim=1)


class _Margin(nn.Module):
    """How far the other class lies above the true one, summed over the crops."""

    def forward(self, scores_B2: Tensor, label_B2: Tensor) -> Tensor:
        return (scores_B2 * (1 - 2 * label_B2)).sum()


class _Classifier(PyTorchClassifier):  # type: ignore[misc]  # the library publishes no types
    """The library's wrapper, but for the gradient of one class: that of the constant 0 is known without computing."""

    def class_gradient(self, x: npt.NDArray[Any], label: Int64, **_: Any) -> Float32:
        """x: [B, 3, H, W]; label: [B], whose score. Returns f32[B, 1, 3, H, W]."""
        gradient_B = np.zeros(x.shape, np.float32)
        chosen = np.flatnonzero(label == 1)
        if chosen.size:
            pixels = torch.from_numpy(x[chosen].astype(np.float32)).to(self.device).requires_grad_()
            (found,) = torch.autograd.grad(self.model(pixels)[:, 1].sum(), pixels)
            gradient_B[chosen] = found.cpu().numpy()
        return gradient_B[:, None]


class _Projected(ProjectedGradientDescentPyTorch):  # type: ignore[misc]
    """PGD from a given start, where the library draws one for the whole batch from NumPy's global state."""

    def __init__(self, start_B: Tensor, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._start_B = start_B

    def _compute_pytorch(
        self, x: Tensor, x_init: Tensor, y: Tensor, mask: Any, eps: Any, eps_step: Any, random_init: bool, momentum: Any
    ) -> Tensor:
        start = (x + self._start_B).clamp(*self.estimator.clip_values) if random_init else x
        found: Tensor = super()._compute_pytorch(start, x_init, y, mask, eps, eps_step, False, momentum)
        return found
