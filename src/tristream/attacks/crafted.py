"""Crafted pictures on disk, rounded to 8 bits, and the conditions that score them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tristream.atomic import replaced
from tristream.attacks.budget import Attack
from tristream.evaluation.conditions import Condition, Parameter, PictureContext
from tristream.images import perturb
from tristream.typing import Float32, UInt8

FAMILY = "attack"
JPEG_QUALITY = 90
AFTER_JPEG = f"-jpeg-{JPEG_QUALITY}"
SHUFFLED = "-shuffled"
UNROUNDED = "-unrounded"
"""Ends of the names of conditions that treat what an attack crafted."""


class Store:
    """One file per attack and picture; a file is there whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __contains__(self, key: tuple[str, str]) -> bool:
        """key: name of the attack, id of the picture."""
        return self._path(*key).is_file()

    def write(self, attack: str, picture: str, crops: Float32 | UInt8) -> None:
        """Keep crops [N, 3, H, W]."""
        path = self._path(attack, picture)
        with replaced(path) as part, part.open("wb") as file:
            np.save(file, crops)

    def read(self, attack: str, picture: str) -> UInt8:
        """uint8[N, 3, H, W]."""
        crops = np.load(self._path(attack, picture))
        return crops if crops.dtype == np.uint8 else rounded(crops)

    def read_unrounded(self, attack: str, picture: str) -> Float32:
        """f32[N, 3, H, W] in [0, 1], of an attack that keeps them."""
        return np.asarray(np.load(self._path(attack, picture)), np.float32)

    def _path(self, attack: str, picture: str) -> Path:
        return self.folder / attack / f"{picture}.npy"


def rounded(crops: Float32) -> UInt8:
    """To 8 bits. crops: in [0, 1]."""
    return np.asarray(np.rint(np.clip(crops, 0, 1) * np.float32(255)), np.uint8)


def to_float(crops: UInt8) -> Float32:
    """Back to f32 in [0, 1]: pixels that were not changed come out as preprocessing made them."""
    return np.asarray(crops, np.float32) / np.float32(255)


def shuffled(untouched: UInt8, attacked: UInt8, rng: np.random.Generator) -> UInt8:
    """Noise with the norms of an attack: its changes in another order, signs turned where a pixel would leave 0..255.

    All norms stay, except for changes of more than 127 grey levels that fit in neither direction and are cut. Arrays of
    one shape.
    """
    start = untouched.astype(np.int16).ravel()
    change = rng.permutation(attacked.astype(np.int16).ravel() - start)
    leaves = (start + change < 0) | (start + change > 255)
    moved = np.clip(start + np.where(leaves, -change, change), 0, 255)
    return moved.astype(np.uint8).reshape(untouched.shape)


def conditions_of(
    attack: Attack, store: Store, ids: frozenset[str] | None, pictures: int, threshold: float, seed: int
) -> list[Condition]:
    """An attack after 8 bits and after JPEG; as a control, its perturbation in another order; unrounded, if kept so.

    ids: of the pictures that were attacked; None for all. pictures: how many these are.
    """

    def condition(end: str, then: str, on_crops: Callable[[Float32, PictureContext], Float32]) -> Condition:
        parameters: dict[str, Parameter] = {**attack.parameters, "pictures": pictures, "then": then}
        settings = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in parameters.items())
        description = f"every crop attacked away from its label at the logit {threshold:.6g}, seed {seed}: {settings}"
        return Condition(
            attack.name + end, description, lambda pixels, _: pixels, FAMILY, None, parameters, None, on_crops, ids
        )

    def crafted(_: Float32, context: PictureContext) -> Float32:
        return to_float(store.read(attack.name, context.id))

    def coded(_: Float32, context: PictureContext) -> Float32:
        return to_float(_jpeg(store.read(attack.name, context.id)))

    def reordered(crops: Float32, context: PictureContext) -> Float32:
        rng = PictureContext(context.id, context.label, seed).rng(f"{attack.name}{SHUFFLED}")
        return to_float(shuffled(rounded(crops), store.read(attack.name, context.id), rng))

    def unrounded(_: Float32, context: PictureContext) -> Float32:
        return store.read_unrounded(attack.name, context.id)

    return [
        condition("", "8 bits", crafted),
        condition(AFTER_JPEG, f"JPEG quality {JPEG_QUALITY} 4:2:0", coded),
        condition(SHUFFLED, "the changes shuffled over pixels and channels", reordered),
        *([condition(UNROUNDED, "no rounding", unrounded)] if attack.is_kept_unrounded else []),
    ]


def _jpeg(crops: UInt8) -> UInt8:
    """uint8[N, 3, H, W], each crop by itself."""
    coded = [perturb.jpeg(np.ascontiguousarray(crop.transpose(1, 2, 0)), JPEG_QUALITY, "4:2:0") for crop in crops]
    return np.stack(coded).transpose(0, 3, 1, 2)


def base_names(conditions: Sequence[str]) -> list[str]:
    """The attacks among the names of conditions: those that come with a control.

    >>> base_names(["delivered", "cw", "cw-jpeg-90", "cw-shuffled"])
    ['cw']
    """
    return [name for name in conditions if name + SHUFFLED in conditions]
