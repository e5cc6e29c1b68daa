"""F3Net: forgeries in frequency, by two Xceptions that talk to each other (Qian et al., ECCV 2020).

FAD (frequency-aware decomposition): the picture's DCT times base + learnable filters of three bands and of all,
transformed back, 12 channels. LFS (local frequency statistics): log10 energy of 6 bands in the DCT of each 10 px
window, every 2 px. Each feeds an Xception; MixBlocks after blocks 7 and 12 let either branch see where both agree;
both are pooled, one logit.

What the paper leaves open is decided thus. "The first 1/16 of the entire spectrum" is read as a share of its
coefficients, as the code in circulation reads it now: i/H + j/W up to sqrt(2/16); `band_edges` (0.0625, 0.125) is the
other reading. The fourth filter (all) and the 12 channels follow that code (yyk-wew/F3Net), too. A MixBlock's
attention is over rows, a matrix product per channel. Bands and learnable filters live on normalised frequency, so any
H x W is taken; the method's own is 299 px. Deviations: see `F3Net.deviations`, and `paper` for what a
training may change.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from timm.models import adapt_input_conv
from torch import Tensor, nn

from tristream.detectors.backbones import create_backbone, initialisation_of, normalisation_of, output_features
from tristream.detectors.base import DETECTORS, Detector, DetectorConfig, DetectorOutput, PaperRecipe
from tristream.detectors.pooled import linear_logit

# B images, C channels, H W pixels, K filters, h w windows, P window side

BACKBONE = "legacy_xception"
WINDOW_PX, STRIDE_PX, LOCAL_BANDS = 10, 2, 6
MIXED = {"block7": 728, "block12": 1024}
"""After which blocks of Xception the branches are mixed, and their channels there."""


PAPER_BANDS = (1 / 16, 1 / 8)
USUAL_BANDS = (math.sqrt(2 / 16), math.sqrt(2 / 8))
"""Those shares of the coefficients, as the code in circulation has it."""


class F3NetConfig(DetectorConfig):
    """Which branches, and the weights of their Xceptions: hub, none, or a safetensors file with timm's names."""

    weights: str = "hub"
    branches: tuple[Literal["fad", "lfs"], ...] = Field(("fad", "lfs"), min_length=1, max_length=2)
    """Both are the method; FAD alone is what DeepfakeBench calls F3Net."""
    image_size: int = Field(299, ge=32)
    """Side in px of the grid on which the learnable filters of FAD are stored."""
    band_edges: tuple[float, float] = USUAL_BANDS
    """Upper edges of FAD's low and middle band in units of i/H + j/W, which runs from 0 to 2."""
    dropout: float = Field(0.2, ge=0, lt=1)


@DETECTORS.register("f3net")
class F3Net(Detector):
    """FAD and LFS on an Xception each, mixed twice, one logit."""

    config_class = F3NetConfig
    deviations: tuple[str, ...] = (
        "LFS takes log10(1 + energy) on grey levels of 255, so that rounding noise in flat windows is no feature",
        "the LFS stem pads by 1 px, so that both branches agree in size at any picture size",
        "learnable filters start at 0, and a MixBlock's gate scales what its norm returns: both start as the identity",
        "one logit in place of a softmax over two; AdamW, warm-up and cosine decay, averaged weights",
        "each class has half of the weight in the loss; the paper: plain cross-entropy",
        "LFS takes the logarithm of a band's sum; another reading: the mean of the logarithms",
        "a MixBlock's attention is over rows, a matrix product per channel",
    )
    paper = PaperRecipe(299, 128)

    def __init__(self, config: F3NetConfig, *, load_weights: bool = True) -> None:
        super().__init__()
        self.branches: tuple[str, ...] = tuple(dict.fromkeys(config.branches))
        weights = config.weights if load_weights else "none"
        self.trunks = nn.ModuleDict({name: create_backbone(BACKBONE, weights) for name in self.branches})
        self.normalise = normalisation_of(self.trunks[self.branches[0]])
        self.heads = nn.ModuleDict()
        for name in self.branches:
            head = FrequencyDecomposition(config.image_size, config.band_edges) if name == "fad" else LocalStatistics()
            self.heads[name] = head
            _adapt_stem(self.trunks[name], head.channels, keep_size=name == "lfs")
        self.mix = nn.ModuleDict()
        if len(self.branches) == 2:
            self.mix = nn.ModuleDict({block: MixBlock(channels) for block, channels in MIXED.items()})
        self.initialisation = initialisation_of(BACKBONE, config.weights, config.initialisation)
        if config.band_edges != PAPER_BANDS:
            low, middle = (f"{edge:.3g}" for edge in config.band_edges)
            usual = ", as the code in circulation has it" if config.band_edges == USUAL_BANDS else ""
            bands = f"FAD's bands end at {low} and {middle} of i/H + j/W{usual}; the paper: 1/16, 1/8"
            self.deviations = (*self.deviations, bands)
        if len(self.branches) == 1:
            self.deviations = (f"{self.branches[0].upper()} alone, without MixBlocks", *self.deviations)
        self.feature_sizes = {name: output_features(self.trunks[name]) for name in self.branches}
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = linear_logit(sum(self.feature_sizes.values()))

    def forward(self, pixels: Tensor, stream_mask: Tensor | None = None) -> DetectorOutput:
        if stream_mask is not None:
            raise ValueError("f3net's branches are no streams: they cannot be masked")
        maps: dict[str, Tensor] = {name: self._stem(name, pixels) for name in self.branches}
        for number in range(1, 13):
            block = f"block{number}"
            maps = {name: getattr(self.trunks[name], block)(x) for name, x in maps.items()}
            if block in self.mix:
                maps["fad"], maps["lfs"] = self.mix[block](maps["fad"], maps["lfs"])
        features: dict[str, Tensor] = {name: self._pooled(name, x) for name, x in maps.items()}
        joined = self.dropout(torch.cat([features[name] for name in self.branches], dim=-1))
        return DetectorOutput(self.classifier(joined).squeeze(-1).float(), features=features)

    def _stem(self, name: str, pixels: Tensor) -> Tensor:
        trunk = self.trunks[name]
        x: Tensor = self.heads[name](self.normalise(pixels) if name == "fad" else pixels)
        for layer in ("conv1", "bn1", "act1", "conv2", "bn2", "act2"):
            x = getattr(trunk, layer)(x)
        return x

    def _pooled(self, name: str, x: Tensor) -> Tensor:
        for layer in ("conv3", "bn3", "act3", "conv4", "bn4", "act4"):
            x = getattr(self.trunks[name], layer)(x)
        return x.mean((2, 3))


class FrequencyDecomposition(nn.Module):
    """FAD: a picture through four filters of its DCT; before they learn, low, middle and high sum to the picture."""

    channels = 12

    def __init__(self, size: int, band_edges: tuple[float, float]) -> None:
        """size: side in px of the grid of the learnable part; band_edges: see `F3NetConfig`."""
        super().__init__()
        self.band_edges = band_edges
        self.learnable = nn.Parameter(torch.zeros(4, size, size))

    def filters(self, height: int, width: int) -> Tensor:
        """Base + (2 sigmoid(learnable) - 1) of low, middle, high, all. Returns f32[4, H, W]."""
        position_HW = _positions(height, width).to(self.learnable.device)
        low, middle = self.band_edges
        is_low, is_middle = position_HW <= low, (position_HW > low) & (position_HW <= middle)
        base_KHW = torch.stack([is_low, is_middle, position_HW > middle, torch.ones_like(is_low)])
        return base_KHW.float() + torch.tanh(self._resampled(height, width) / 2)  # 2 sigmoid(x) - 1 = tanh(x / 2)

    def forward(self, image: Tensor) -> Tensor:
        """image: f32[B, 3, H, W]. Returns f32[B, 12, H, W]: three colours of low, of middle, of high, of all."""
        height, width = image.shape[-2:]
        with torch.autocast(image.device.type, enabled=False):
            rows, columns = (dct_matrix(n).to(image.device) for n in (height, width))
            spectrum = rows @ image.float() @ columns.T
            parts = [rows.T @ (spectrum * one) @ columns for one in self.filters(height, width)]
        return torch.cat(parts, dim=1)

    def _resampled(self, height: int, width: int) -> Tensor:
        """The learnable part at another size: coefficient i of n is the frequency i / n."""
        size = self.learnable.shape[-1]
        if (height, width) == (size, size):
            return self.learnable
        y, x = (torch.arange(n, device=self.learnable.device) / n * size / (size - 1) * 2 - 1 for n in (height, width))
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).flip(-1)[None]
        return F.grid_sample(self.learnable[None], grid, padding_mode="border", align_corners=True)[0]


class LocalStatistics(nn.Module):
    """LFS: log10(1 + energy) of six diagonal bands in the DCT of each window, on the grid of Xception's first layer."""

    channels = LOCAL_BANDS

    def __init__(self) -> None:
        super().__init__()
        edges = torch.arange(1, LOCAL_BANDS) * 2 / LOCAL_BANDS
        band_PP = torch.bucketize(_positions(WINDOW_PX, WINDOW_PX), edges)
        self.register_buffer("base", F.one_hot(band_PP, LOCAL_BANDS).permute(2, 0, 1).float(), persistent=False)
        self.register_buffer("grey", torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1) * 255, persistent=False)
        self.base: Tensor
        self.grey: Tensor
        self.learnable = nn.Parameter(torch.zeros(LOCAL_BANDS, WINDOW_PX, WINDOW_PX))

    def filters(self) -> Tensor:
        """Base + (2 sigmoid(learnable) - 1). Returns f32[6, P, P]."""
        return self.base + torch.tanh(self.learnable / 2)

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels: f32[B, 3, H, W] in [0, 1]. Returns f32[B, 6, (H - 1) // 2, (W - 1) // 2], at least 0."""
        batch, _, height, width = pixels.shape
        with torch.autocast(pixels.device.type, enabled=False):
            grey = (pixels.float() * self.grey).sum(1, keepdim=True)
            before, after = WINDOW_PX // 2 - 1, WINDOW_PX // 2 - 2
            windows = F.unfold(F.pad(grey, (before, after, before, after)), WINDOW_PX, stride=STRIDE_PX)
            matrix = dct_matrix(WINDOW_PX).to(pixels.device)
            spectrum = torch.kron(matrix, matrix) @ windows  # [B, P * P, h * w]: rows and columns at once
            energy = self.filters().flatten(1).abs() @ spectrum.abs()
            return torch.log10(1 + energy).view(batch, LOCAL_BANDS, (height - 1) // 2, (width - 1) // 2)


class MixBlock(nn.Module):
    """Each branch gains what the other shows in the rows to which both, together, attend. Starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()

        def pair(bias: bool) -> nn.ModuleList:
            return nn.ModuleList(nn.Conv2d(channels, channels, 1, bias=bias) for _ in range(2))

        self.queries, self.keys = pair(bias=True), pair(bias=False)  # a bias of the keys would cancel in the softmax
        self.values = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, channels, 1, groups=channels, bias=False), nn.BatchNorm2d(channels))
            for _ in range(2)
        )
        self.gates = nn.Parameter(torch.zeros(2))

    def forward(self, fad: Tensor, lfs: Tensor) -> tuple[Tensor, Tensor]:
        """Two maps f32[B, C, H, W], and the same two mixed."""
        query, key = (torch.cat([c(x) for c, x in zip(convs, (fad, lfs), strict=True)], dim=-1)
                      for convs in (self.queries, self.keys))  # fmt: skip
        attention_BCHH = (query @ key.transpose(-1, -2)).softmax(-1)
        gate = torch.tanh(self.gates / 2)
        mixed_fad = fad + gate[0] * self.values[0](attention_BCHH @ lfs)
        mixed_lfs = lfs + gate[1] * self.values[1](attention_BCHH @ fad)
        return mixed_fad, mixed_lfs


def dct_matrix(size: int) -> Tensor:
    """Orthonormal DCT-II: `dct_matrix(n) @ x` transforms a column. Returns f32[n, n]; its transpose is the inverse."""
    sample, frequency = torch.arange(size, dtype=torch.float64), torch.arange(size, dtype=torch.float64)[:, None]
    matrix = torch.cos(torch.pi * frequency * (sample + 0.5) / size) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix.float()


def _positions(height: int, width: int) -> Tensor:
    """i/H + j/W of each coefficient of a DCT. Returns f32[H, W] in [0, 2)."""
    return torch.arange(height)[:, None] / height + torch.arange(width) / width


def _adapt_stem(trunk: nn.Module, channels: int, *, keep_size: bool) -> None:
    """Give the first layer so many channels, its weights repeated and scaled, and with `keep_size` a stride of 1."""
    old: nn.Conv2d = trunk.conv1  # type: ignore[assignment]
    stride, padding = (1, 1) if keep_size else (2, 0)
    new = nn.Conv2d(channels, old.out_channels, 3, stride, padding, bias=False)
    with torch.no_grad():
        new.weight.copy_(adapt_input_conv(channels, old.weight))
    trunk.conv1 = new
