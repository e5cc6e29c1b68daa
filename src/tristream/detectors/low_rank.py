"""A vision transformer cut down to a part of its blocks, each linear layer written as two thin ones.

The stream keeps its width, all heads and all hidden units: only what the layers can map is restricted to a rank, so
the reduced model starts from its original by reduced-rank regression (tools/reduce_rank.py) instead of from nothing.
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn

from tristream.config import StrictModel
from tristream.errors import ConfigError

# D inputs of a layer


class Reduction(StrictModel):
    """What is left of a vision transformer. None: all of it."""

    blocks: int | None = Field(None, ge=1)
    """Leading blocks that are kept. Middle layers tell fakes better than the last, which CLIP trained for content."""
    attention_rank: int | None = Field(None, ge=1)
    """Rank of each block's query-key-value and output projections."""
    mlp_rank: int | None = Field(None, ge=1)
    """Rank of each block's two MLP layers."""

    @property
    def is_thin(self) -> bool:
        """Whether layers are of a reduced rank, so that the whole model's weights do not fit."""
        return self.attention_rank is not None or self.mlp_rank is not None


def reduce(model: nn.Module, reduction: Reduction) -> tuple[str, ...]:
    """Cut a timm vision transformer in place; thin layers get random weights. Returns what dropped tensors begin with.

    Raises ConfigError for other models.
    """
    if not isinstance(model, VisionTransformer) or not isinstance(model.blocks, nn.Sequential):
        raise ConfigError(f"{type(model).__name__} has no transformer blocks to reduce; leave `reduction` out")
    if (reduction.blocks or 1) > len(model.blocks):
        raise ConfigError(f"reduction: the model has {len(model.blocks)} blocks, not {reduction.blocks}")
    dropped = tuple(f"blocks.{number}." for number in range(reduction.blocks or len(model.blocks), len(model.blocks)))
    model.blocks = model.blocks[: reduction.blocks]
    for block in model.blocks:
        for part, layers, rank in (
            (block.attn, ("qkv", "proj"), reduction.attention_rank),
            (block.mlp, ("fc1", "fc2"), reduction.mlp_rank),
        ):
            if rank is not None:
                for layer in layers:
                    setattr(part, layer, thin(getattr(part, layer), rank))
    return dropped


def mix_ranks(model: nn.Module, seed: int = 0) -> None:
    """Turn what passes between each pair of thin layers, in place: the pair computes the same as before.

    Regression leaves a few large values and many small ones there, of which int8 weights would keep only the large; a
    random rotation (drawn from `seed`) makes all alike.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Sequential) and len(module) == 2 and isinstance(module[0], nn.Linear):
            inner, outer = module
            if isinstance(outer, nn.Linear) and inner.bias is None:
                turn, _ = torch.linalg.qr(torch.randn([inner.out_features] * 2, generator=generator).double())
                with torch.no_grad():
                    inner.weight.copy_(turn @ inner.weight.double())
                    outer.weight.copy_(outer.weight.double() @ turn.T)


def even_inputs(model: nn.Module) -> None:
    """Give the inputs of thin layers weights of one size each, in place: the blocks compute the same as before.

    What an input's weights lose, the layer before it gains: a norm its gain, the values of attention their weights.
    So int8 weights do with one scale for each output, which runtimes multiply with faster. Behind an MLP's activation
    function nothing can be moved.
    """
    blocks: list[Any] = [module for module in model.modules() if isinstance(module, Block)]
    with torch.no_grad():
        for block in blocks:
            query_key_value, projection = block.attn.qkv, block.attn.proj
            for norm, layer in ((block.norm1, query_key_value), (block.norm2, block.mlp.fc1)):
                if isinstance(layer, nn.Sequential):
                    size_D = _even_out(layer[0])
                    norm.weight.mul_(size_D)
                    norm.bias.mul_(size_D)
            if isinstance(projection, nn.Sequential):
                size_D = _even_out(projection[0])
                outer: Any = query_key_value[-1] if isinstance(query_key_value, nn.Sequential) else query_key_value
                outer.weight[-len(size_D) :].mul_(size_D[:, None])
                if outer.bias is not None:
                    outer.bias[-len(size_D) :].mul_(size_D)


def _even_out(layer: Any) -> torch.Tensor:
    """Divide the weights of each input by their largest magnitude, relative to the mean over inputs; return these."""
    size_D = layer.weight.abs().amax(0)
    size_D = torch.where(size_D > 0, size_D / size_D.mean(), 1.0)
    layer.weight.div_(size_D)
    return size_D


def thin(layer: nn.Module, rank: int) -> nn.Sequential:
    """Two linear layers of the given rank in the place of one. Raises ConfigError where that would not be thinner."""
    assert isinstance(layer, nn.Linear)
    inputs, outputs = layer.in_features, layer.out_features
    if rank >= min(inputs, outputs):
        raise ConfigError(f"reduction: rank {rank} does not reduce a layer of {inputs} to {outputs}")
    return nn.Sequential(nn.Linear(inputs, rank, bias=False), nn.Linear(rank, outputs, bias=layer.bias is not None))
