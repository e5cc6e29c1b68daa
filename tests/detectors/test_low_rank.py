from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from tristream.detectors.backbones import create_backbone
from tristream.detectors.low_rank import Reduction, even_inputs, mix_ranks, thin
from tristream.detectors.multistream.streams import STREAMS, StreamConfig, token_statistics
from tristream.errors import ConfigError

NAME = "vit_tiny_patch16_224"


def reduced(weights: str = "none", **options: int) -> VisionTransformer:
    model = create_backbone(NAME, weights, image_size=32, reduction=Reduction(**options))
    assert isinstance(model, VisionTransformer)
    return model.eval()


def test_leading_blocks_of_a_whole_file_are_kept(tmp_path: Path) -> None:
    whole = create_backbone(NAME, "none", image_size=32).eval()
    save_file(whole.state_dict(), tmp_path / "whole.safetensors")
    cut = reduced(str(tmp_path / "whole.safetensors"), blocks=3)
    pixels = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        (wanted,) = whole.forward_intermediates(pixels, indices=[2], intermediates_only=True, output_fmt="NLC")
        (found,) = cut.forward_intermediates(pixels, indices=[2], intermediates_only=True, output_fmt="NLC")
    assert len(cut.blocks) == 3
    torch.testing.assert_close(found, wanted)


def test_thin_layers_have_the_rank_that_was_asked_for() -> None:
    model = reduced(blocks=2, attention_rank=16, mlp_rank=24)
    block = model.blocks[0]
    product = block.mlp.fc1[1].weight @ block.mlp.fc1[0].weight
    assert product.shape == (768, 192)
    assert torch.linalg.matrix_rank(product) == 24
    assert torch.linalg.matrix_rank(block.attn.qkv[1].weight @ block.attn.qkv[0].weight) == 16


def test_mixing_ranks_changes_the_layers_and_not_what_they_compute() -> None:
    torch.manual_seed(0)
    model = reduced(blocks=2, attention_rank=16, mlp_rank=24)
    pixels, before = torch.rand(2, 3, 32, 32), model.blocks[1].mlp.fc1[0].weight.clone()
    with torch.inference_mode():
        wanted = model(pixels)
        mix_ranks(model)
        torch.testing.assert_close(model(pixels), wanted, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(model.blocks[1].mlp.fc1[0].weight, before, atol=1e-3)


def test_evened_inputs_have_weights_of_one_size_and_the_model_computes_the_same() -> None:
    torch.manual_seed(0)
    model = reduced(blocks=2, attention_rank=16, mlp_rank=24)
    for block in model.blocks:
        for parameter in block.parameters():
            nn.init.normal_(parameter, std=0.1)
    pixels = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        wanted = model(pixels)
        even_inputs(model)
        torch.testing.assert_close(model(pixels), wanted, atol=1e-4, rtol=1e-4)
    for block in model.blocks:
        for layer in (block.attn.qkv[0], block.attn.proj[0], block.mlp.fc1[0]):
            sizes = layer.weight.abs().amax(0)
            torch.testing.assert_close(sizes, sizes.mean().expand_as(sizes))


def test_evening_inputs_leaves_blocks_without_thin_layers_alone() -> None:
    model = reduced(blocks=1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    even_inputs(model)
    torch.testing.assert_close(model.state_dict(), before, atol=0, rtol=0)


def test_what_cannot_be_reduced_is_refused() -> None:
    with pytest.raises(ConfigError, match="has 12 blocks, not 13"):
        reduced(blocks=13)
    with pytest.raises(ConfigError, match="no transformer blocks"):
        create_backbone("resnet18", "none", reduction=Reduction(blocks=2))
    with pytest.raises(ConfigError, match="does not reduce a layer of 64 to 128"):
        thin(nn.Linear(64, 128), 64)
    with pytest.raises(ConfigError, match="hub has no weights of a reduced rank"):
        create_backbone(NAME, "hub", image_size=32, reduction=Reduction(mlp_rank=8))


def test_token_statistics_are_class_token_mean_and_deviation() -> None:
    tokens = torch.tensor([[[9.0, 8.0], [1.0, 2.0], [3.0, 2.0]]])
    expected = torch.tensor([[9.0, 8.0, 2.0, 2.0, 1.0, 0.0]])
    torch.testing.assert_close(token_statistics(tokens), expected, atol=2e-3, rtol=0)


def test_a_stream_that_pools_tokens_standardises_and_lets_gradients_reach_everything() -> None:
    torch.manual_seed(0)
    options = StreamConfig(pooling="tokens", reduction=Reduction(blocks=2, attention_rank=8, mlp_rank=8))
    stream = STREAMS["semantic"](options, 32, "none").train()
    stream.standardise[1].eval()
    pooled = stream.embed(torch.rand(16, 3, 32, 32))
    assert pooled.shape == (16, 3 * 192) == (16, stream.embedding)
    torch.testing.assert_close(stream.standardise(pooled).mean(0), torch.zeros(3 * 192), atol=1e-4, rtol=0)
    stream(torch.rand(4, 3, 32, 32)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in stream.parameters())
    with pytest.raises(ConfigError, match="needs a vision transformer"):
        STREAMS["spatial"](StreamConfig(pooling="tokens"), 32, "none")
