"""The loss terms on cases worked out by hand, and stream dropout's statistics."""

from __future__ import annotations

import math

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from tests.detectors.conftest import small_detector
from tristream.data.dataset import ImageBatch
from tristream.detectors.backbones import create_backbone
from tristream.detectors.base import DetectorOutput
from tristream.training.objectives import (
    OBJECTIVES,
    TrainingContext,
    build_objective,
    draw_stream_mask,
    orthogonality_loss,
)


def test_orthogonality_by_hand() -> None:
    e1, e2, diagonal = torch.tensor([1.0, 0]), torch.tensor([0.0, 1]), torch.tensor([1.0, 1])
    assert orthogonality_loss(torch.stack([e1, e2])[None]) == 0
    assert orthogonality_loss(torch.stack([e1, -3 * e1])[None]) == pytest.approx(1)
    # pairs: (e1, e2) 0, (e1, diagonal) 1/sqrt 2, (e2, diagonal) 1/sqrt 2
    assert orthogonality_loss(torch.stack([e1, e2, diagonal])[None]) == pytest.approx(2 / 3 / math.sqrt(2))
    # per sample: one sample with cosine 1 and one with cosine -1 do not cancel
    both = torch.stack([torch.stack([e1, e1]), torch.stack([e1, -e1])])
    assert orthogonality_loss(both) == pytest.approx(1)


def test_orthogonality_skips_dropped_streams() -> None:
    e1, e2 = torch.tensor([1.0, 0]), torch.tensor([0.0, 1])
    tokens = torch.stack([e1, e1, e2])[None]
    assert orthogonality_loss(tokens, torch.tensor([[True, False, True]])) == 0
    assert orthogonality_loss(tokens, torch.tensor([[True, True, False]])) == pytest.approx(1)
    assert orthogonality_loss(tokens, torch.tensor([[True, False, False]])) == 0


def test_orthogonality_lies_between_0_and_1_with_finite_gradients() -> None:
    tokens = torch.randn(16, 3, 8, requires_grad=True)
    loss = orthogonality_loss(tokens)
    loss.backward()
    assert 0 <= loss <= 1
    assert torch.isfinite(tokens.grad).all()
    zero = torch.zeros(2, 3, 8, requires_grad=True)
    orthogonality_loss(zero).backward()
    assert torch.isfinite(zero.grad).all()


def test_classes_weigh_the_same_whatever_their_share() -> None:
    context = TrainingContext(small_detector("multistream"), (30, 10), None)
    term = build_objective("classification", {}, context)
    labels = torch.tensor([0.0, 0, 0, 1])
    batch = ImageBatch(torch.zeros(4, 3, 1, 1), labels, torch.arange(4))
    loss = term(DetectorOutput(torch.zeros(4)), batch, None)
    assert loss == pytest.approx(math.log(2))
    wrong_fake = term(DetectorOutput(torch.tensor([-9.0, -9, -9, -9])), batch, None)
    wrong_real = term(DetectorOutput(torch.tensor([9.0, 9, 9, 9])), batch, None)
    assert float(wrong_fake) == pytest.approx(float(wrong_real), rel=1e-3)


def test_every_objective_is_built_with_defaults() -> None:
    context = TrainingContext(small_detector("multistream"), (1, 1), small_teacher())
    batch = ImageBatch(torch.rand(4, 3, 64, 64), torch.tensor([0.0, 1, 0, 1]), torch.arange(4))
    terms = {name: build_objective(name, {}, context) for name in OBJECTIVES}
    output = context.detector(batch.pixels)  # after the terms are built: distillation listens to the blocks
    for term in terms.values():
        value = term(output, batch, None)
        assert value.shape == ()
        assert torch.isfinite(value)


def small_teacher() -> VisionTransformer:
    teacher = create_backbone("vit_tiny_patch16_224", "none", image_size=64).eval()
    assert isinstance(teacher, VisionTransformer)
    return teacher


def test_a_student_that_is_its_teacher_has_nothing_to_learn() -> None:
    detector = small_detector("multistream")
    teacher = small_teacher()
    term = build_objective("distillation", {}, TrainingContext(detector, (1, 1), teacher))
    batch = ImageBatch(torch.rand(4, 3, 64, 64), torch.tensor([0.0, 1, 0, 1]), torch.arange(4))
    apart = term(detector(batch.pixels), batch, None)
    detector.get_submodule("streams.semantic.backbone").load_state_dict(teacher.state_dict())
    assert float(term(detector(batch.pixels), batch, None)) == pytest.approx(0, abs=1e-6)
    assert apart > 0.1


def test_stream_dropout_is_per_sample_and_leaves_one_alive() -> None:
    generator = torch.Generator().manual_seed(0)
    mask = draw_stream_mask(10_000, 3, 0.5, generator)
    assert mask.any(-1).all()
    # alive with probability 1/2, plus 1/3 of the 1/8 in which all three were drawn to drop
    assert mask.float().mean(0).tolist() == pytest.approx([0.5 + 1 / 24] * 3, abs=0.02)
    assert len(mask.unique(dim=0)) == 7
    assert draw_stream_mask(10_000, 3, 0.99, generator).any(-1).all()
    assert draw_stream_mask(100, 3, 0.0, generator).all()
