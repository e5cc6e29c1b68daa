"""A learnable spectral mask on the real FFT: a free component per channel times four radial band weights.

rfft2/irfft2 is real by construction, keeps the sign, costs half of a full FFT and works at any H x W.
The free component is held at mean 1 within each band, so that level (band weight) and shape (component) are identified.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# B images, C channels, H W pixels, K = W // 2 + 1 half-spectrum columns, N bands

BANDS = ("low", "mid_low", "mid_high", "high")
_EDGES = (0.25, 0.5, 0.75)
"""Upper edges of the first three bands in units of the axis Nyquist (0.5 cycles/px); the last takes all above."""


def band_index(height: int, width: int) -> Tensor:
    """Which band each half-spectrum coefficient belongs to. Returns i64[H, K] in 0..3.

    >>> band_index(8, 8)[0].tolist(), int(band_index(8, 8)[4, 4])
    ([0, 1, 2, 3, 3], 3)
    """
    fy = torch.fft.fftfreq(height).abs()[:, None]
    fx = torch.fft.rfftfreq(width)[None, :]
    radius = torch.sqrt(fy**2 + fx**2) / 0.5
    return torch.bucketize(radius, torch.tensor(_EDGES), right=True)


class SpectralMask(nn.Module):
    """Multiplies the half-spectrum by component x band weight, resampled over normalised frequency at another size."""

    def __init__(
        self, channels: int = 3, size: int = 256, band_weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0)
    ) -> None:
        """size: height and width in px of the grid on which the component is stored; band_weights: to start from."""
        super().__init__()
        self.size = size
        self.component = nn.Parameter(torch.ones(channels, size, size // 2 + 1))
        self.band_weights = nn.Parameter(torch.tensor(band_weights, dtype=torch.float32))

    def mask(self, height: int, width: int) -> Tensor:
        """The mask as applied, before the irfft's symmetrisation of columns 0 and Nyquist. Returns f32[C, H, K]."""
        bands_HK = band_index(height, width).to(self.component.device)
        component_CHK = self._resampled(height, width)
        member_NHK = F.one_hot(bands_HK, len(BANDS)).permute(2, 0, 1).to(component_CHK)
        count_N = member_NHK.sum((1, 2)).clamp(min=1)
        mean_CN = torch.einsum("chk,nhk->cn", component_CHK, member_NHK) / count_N
        centred_CHK = component_CHK - torch.einsum("cn,nhk->chk", mean_CN - 1, member_NHK)
        return centred_CHK * self.band_weights[bands_HK]

    def forward(self, image: Tensor) -> Tensor:
        """image: f32[B, C, H, W]. Returns the filtered image, same shape; an all-ones mask returns the input."""
        height, width = image.shape[-2:]
        with torch.autocast(image.device.type, enabled=False):  # half precision would not return the input exactly
            spectrum = torch.fft.rfft2(image.float(), norm="ortho") * self.mask(height, width)
            filtered: Tensor = torch.fft.irfft2(spectrum, s=(height, width), norm="ortho")
        return filtered

    def _resampled(self, height: int, width: int) -> Tensor:
        """The component at another size: rows from -Nyquist to Nyquist, columns from 0 to Nyquist."""
        if (height, width) == (self.size, self.size):
            return self.component
        centred = torch.fft.fftshift(self.component, dim=-2)
        rows = torch.fft.fftshift(torch.fft.fftfreq(height)).to(centred)
        columns = torch.fft.rfftfreq(width).to(centred)
        own_rows = torch.fft.fftshift(torch.fft.fftfreq(self.size))
        y = (rows - own_rows[0]) / (own_rows[-1] - own_rows[0]) * 2 - 1
        x = columns / torch.fft.rfftfreq(self.size)[-1] * 2 - 1
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).flip(-1)[None]
        sampled = F.grid_sample(centred[None], grid, mode="bilinear", padding_mode="border", align_corners=True)[0]
        resampled: Tensor = torch.fft.ifftshift(sampled, dim=-2)
        return resampled
