"""MLAF fusion: each stream is one token in a common space; attention across tokens, per-sample weights, one logit."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# B images, S streams, D fusion width, A attention heads


class MLAFFusion(nn.Module):
    """Attention fusion of S stream features.

    One softmax over scores gives the stream weights, so that they reach 0 and 1. A masked stream is absent from the
    attention keys and from the pooling: it has exactly zero influence.
    """

    def __init__(self, stream_features: Sequence[int], width: int = 256, heads: int = 4, dropout: float = 0.1) -> None:
        """stream_features: length of each stream's feature vector. heads divides width."""
        super().__init__()
        self.heads = heads
        self.project = nn.ModuleList(nn.Sequential(nn.Linear(n, width), nn.LayerNorm(width)) for n in stream_features)
        self.type_embedding = nn.Parameter(torch.randn(len(stream_features), width) * 0.02)
        self.qkv = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.score = nn.Linear(width, 1, bias=False)  # a bias would shift all scores alike and the softmax not at all
        nn.init.zeros_(self.score.weight)  # streams start with an equal say
        self.classifier = nn.Sequential(nn.LayerNorm(width), nn.Dropout(dropout), nn.Linear(width, 1))

    def forward(self, features: Sequence[Tensor], mask_BS: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """features: per stream f32[B, F_s]; mask_BS: bool, True where a stream takes part, at least one in each row.

        Returns logits f32[B], tokens f32[B, S, D] (before the type embedding) and stream weights f32[B, S].
        """
        tokens_BSD = torch.stack([project(f) for project, f in zip(self.project, features, strict=True)], dim=1)
        seen_BSD = torch.where(mask_BS[..., None], tokens_BSD, 0.0) + self.type_embedding
        mixed_BSD = self.norm(seen_BSD + self._attend(seen_BSD, mask_BS))
        scores_BS = self.score(mixed_BSD).squeeze(-1).float().masked_fill(~mask_BS, float("-inf"))
        weights_BS = scores_BS.softmax(-1)
        pooled_BD = (weights_BS[..., None] * mixed_BSD).sum(1)
        return self.classifier(pooled_BD).squeeze(-1).float(), tokens_BSD, weights_BS

    def _attend(self, tokens_BSD: Tensor, mask_BS: Tensor) -> Tensor:
        batch, streams, width = tokens_BSD.shape
        qkv = self.qkv(tokens_BSD).view(batch, streams, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask_BS[:, None, None, :])
        merged: Tensor = self.merge(attended.transpose(1, 2).reshape(batch, streams, width))
        return merged
