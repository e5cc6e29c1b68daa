"""The spectral mask with the DFT written as matrix products: the operators that every runtime has and ONNX can hold."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tristream.detectors.multistream.spectral import SpectralMask

# B images, C channels, H W pixels, K = W // 2 + 1 half-spectrum columns


class SpectralProducts(nn.Module):
    """What a SpectralMask computes at one size, in four matrix products with its mask, frozen, between them.

    With rows y of the picture as vectors, rfft2 is F_H (x E) and irfft2 is G_H (...) I, where E and I hold the cosines
    and sines of the half-spectrum and F_H, G_H those of the full one; real and imaginary parts are kept apart.
    """

    def __init__(self, mask: SpectralMask, height: int, width: int) -> None:
        """Both sizes in px. The matrices are computed in float64 and kept in float32."""
        super().__init__()
        with torch.no_grad():
            self.register_buffer("mask_CHK", mask.mask(height, width).float())
        columns = width // 2 + 1
        angle_WK = _angles(width, width, columns)
        angle_HH = _angles(height, height, height)
        twice_K = torch.full((columns,), 2.0, dtype=torch.float64)  # a column stands for its mirror image, too,
        twice_K[0] = 1  # except the first
        if width % 2 == 0:
            twice_K[-1] = 1  # and the Nyquist column of an even width
        scale = 1 / (height * width)  # of both transforms together: norm="ortho" shares it between them
        self._constant("to_half_WK", torch.cat([angle_WK.cos(), -angle_WK.sin()], 1))
        self._constant("cos_HH", angle_HH.cos())
        self._constant("sin_HH", angle_HH.sin())
        self._constant("from_half_KW", torch.cat([angle_WK.cos() * twice_K, -angle_WK.sin() * twice_K], 1).T * scale)
        self.mask_CHK: Tensor
        self.to_half_WK: Tensor
        self.cos_HH: Tensor
        self.sin_HH: Tensor
        self.from_half_KW: Tensor

    def forward(self, image: Tensor) -> Tensor:
        """image: f32[B, C, H, W] of the size given above. Returns the filtered image, same shape."""
        real, imaginary = (image @ self.to_half_WK).split(self.mask_CHK.shape[-1], -1)
        real, imaginary = (
            (self.cos_HH @ real + self.sin_HH @ imaginary) * self.mask_CHK,
            (self.cos_HH @ imaginary - self.sin_HH @ real) * self.mask_CHK,
        )
        real, imaginary = (
            self.cos_HH @ real - self.sin_HH @ imaginary,
            self.cos_HH @ imaginary + self.sin_HH @ real,
        )
        return torch.cat([real, imaginary], -1) @ self.from_half_KW

    def _constant(self, name: str, values: Tensor) -> None:
        self.register_buffer(name, values.float().contiguous())


def _angles(size: int, rows: int, columns: int) -> Tensor:
    """2 pi times row times column over size. Returns f64[rows, columns]."""
    product = torch.outer(torch.arange(rows), torch.arange(columns)) % size  # the remainder keeps cosines exact
    return product.double() * (2 * math.pi / size)


def with_spectral_products(module: nn.Module, height: int, width: int) -> nn.Module:
    """Replace every SpectralMask inside a module, in place, by its products at that size. Returns the module."""
    for name, child in list(module.named_children()):
        if isinstance(child, SpectralMask):
            setattr(module, name, SpectralProducts(child, height, width))
        else:
            with_spectral_products(child, height, width)
    return module
