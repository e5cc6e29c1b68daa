"""Any mode of Pillow to RGB on white, 8 bits a sample.

Colour profiles are ignored for RGB and grey: a detector reads the samples that the file holds, and a colour transform
would round them again. CMYK has to be transformed anyway: there an embedded profile is used.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin

from tristream.errors import ImageError


def to_rgb(picture: Image.Image, name: str) -> Image.Image:
    """Any mode of Pillow to RGB on white. Raises ImageError where the samples do not say what is white."""
    if picture.mode.startswith("I;16"):
        return _grey16_to_rgb(picture)
    if picture.mode == "F":
        samples = np.asarray(picture)
        low, high = float(samples.min()), float(samples.max())
        if not (low >= 0.0 and high <= 1.0):  # also true of NaN
            raise ImageError(f"{name}: samples from {low:g} to {high:g}, expected 0 to 1; convert it to 8 or 16 bits")
        return Image.fromarray(np.rint(samples * 255).astype(np.uint8)).convert("RGB")
    if picture.mode == "I":
        raise ImageError(f"{name}: 32-bit integer samples have no agreed white; convert the picture to 8 or 16 bits")
    if picture.mode == "CMYK":
        return _cmyk_to_rgb(picture)
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        white = Image.new("RGB", rgba.size, "white")
        white.paste(rgba, mask=rgba.getchannel("A"))
        return white
    return picture.convert("RGB")


def _grey16_to_rgb(picture: Image.Image) -> Image.Image:
    """16-bit grey scaled to 8 bits, which Pillow's convert would clip. A TIFF may hold 12 bits, or 0 as white."""
    samples = np.asarray(picture).astype(np.uint32)
    white, zero_is_white = 65535, False
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        white = 2 ** picture.tag_v2.get(ExifTags.Base.BitsPerSample, (16,))[0] - 1
        zero_is_white = picture.tag_v2.get(ExifTags.Base.PhotometricInterpretation) == 0
    grey = ((samples * 255 + white // 2) // white).astype(np.uint8)
    if zero_is_white:
        grey = 255 - grey
    if isinstance(key := picture.info.get("transparency"), int):
        grey[samples == key] = 255
    return Image.fromarray(grey).convert("RGB")


def _cmyk_to_rgb(picture: Image.Image) -> Image.Image:
    """By the embedded profile where there is a readable one, else by Pillow's plain formula."""
    if profile := picture.info.get("icc_profile"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None
        if converted is not None:
            return converted
    return picture.convert("RGB")
