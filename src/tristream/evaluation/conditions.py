"""Conditions: what happens to every picture before it is scored, and which streams score it. A table cell has one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np
from pydantic import Field

from tristream.config import RecordedModel
from tristream.data.manifest import Manifest
from tristream.errors import ImageError, UsageError
from tristream.images import perturb
from tristream.images.h264 import h264
from tristream.images.preprocess import Preprocessing
from tristream.registry import Registry
from tristream.typing import Float32, UInt8

Parameter = float | int | str


@dataclass(frozen=True)
class PictureContext:
    """What a treatment may know of a picture besides its pixels."""

    id: str
    """SHA-256 of the file; what is drawn for a picture follows from it, so every detector sees the same pixels."""
    label: int
    """0 real, 1 fake. A condition that looks at it is a diagnosis, not a way of delivery."""
    seed: int = 0
    reals: tuple[Path, ...] = ()
    """The files of the set's real pictures, in the order of their ids: that of the manifest's rows plays no role."""

    def rng(self, purpose: str) -> np.random.Generator:
        """A generator that depends on seed, purpose and picture alone."""
        digest = hashlib.sha256(f"{self.seed}\0{purpose}\0{self.id}".encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def contexts_of(manifest: Manifest, seed: int = 0) -> list[PictureContext]:
    """One per row. Without its sha256 column a picture is known by its path."""
    table = manifest.table
    ids = table["sha256"].where(table["sha256"] != "", table["path"])
    is_real = table["label"] == 0
    reals = tuple(manifest.root / path for _, path in sorted(zip(ids[is_real], table["path"][is_real], strict=True)))
    return [PictureContext(str(i), int(label), seed, reals) for i, label in zip(ids, table["label"], strict=True)]


class ConditionRecord(RecordedModel):
    """A condition as record.json has it; records of older releases hold the description alone."""

    description: str = ""
    family: str = ""
    severity: float | None = None
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    streams: tuple[str, ...] | None = None
    """The streams that were left, where some were masked."""


@dataclass(frozen=True)
class TreatedCrops:
    """The crops of a picture, f32[N, 3, H, W] in [0, 1], before and after what a condition does to them."""

    untouched: Float32
    crops: Float32

    def perturbation(self) -> tuple[float, float]:
        """L2 and L-infinity norm of the difference, over all crops."""
        moved = (self.crops.astype(np.float64) - self.untouched).ravel()
        return float(np.linalg.norm(moved)), float(np.abs(moved).max())


@dataclass(frozen=True)
class Condition:
    """A treatment of decoded pixels, and the streams that take part."""

    name: str
    description: str
    """In words, with every parameter: equal descriptions are equal treatments."""
    apply: Callable[[UInt8, PictureContext], UInt8]
    """uint8[H, W, 3] to uint8[h, w, 3]."""
    family: str = "view"
    severity: float | None = None
    """Position in its family, from 1; None where there is no order."""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    streams: tuple[str, ...] | None = None
    """Only these take part, the others are masked at inference; None for all."""
    on_crops: Callable[[Float32, PictureContext], Float32] | None = None
    """f32[N, 3, H, W] in [0, 1] to the same: what happens after preprocessing, as in an attack; None: nothing."""
    ids: frozenset[str] | None = None
    """SHA-256 of the pictures that are scored; None for all."""

    def of(self, manifest: Manifest) -> Manifest:
        """The pictures that are scored."""
        return manifest if self.ids is None else manifest.where(manifest.table["sha256"].isin(self.ids))

    def crops(self, pixels: UInt8, context: PictureContext, preprocessing: Preprocessing) -> TreatedCrops:
        """What is scored of a decoded picture, uint8[H, W, 3]. Raises ImageError where the treatment does."""
        untouched = preprocessing.crops(self.apply(pixels, context))
        return TreatedCrops(untouched, untouched if self.on_crops is None else self.on_crops(untouched, context))

    def record(self) -> ConditionRecord:
        """What of it is written into record.json."""
        return ConditionRecord(
            description=self.description,
            family=self.family,
            severity=self.severity,
            parameters=dict(self.parameters),
            streams=self.streams,
        )


CONDITIONS: Registry[Condition] = Registry("condition")
"""By name. `families` groups them; the command line takes any of these names."""

VIEWS = ("delivered", "fakes_like_reals", "alike")
"""A gap between the first and the last is what a detector owes to the files and not to the pictures."""
USUAL = ("delivered", "alike")
"""The two views of that gap: what is evaluated where nobody says otherwise."""


def _unchanged(pixels: UInt8, _: PictureContext) -> UInt8:
    return pixels


def _fake_like_a_real(pixels: UInt8, context: PictureContext) -> UInt8:
    if context.label == 0:
        return pixels
    if not context.reals:
        raise UsageError("the condition fakes_like_reals needs real pictures in the set")
    for drawn in context.rng("fakes_like_reals").permutation(len(context.reals)):
        try:
            return perturb.encoded_like(pixels, perturb.read_encoding(context.reals[drawn]))
        except ImageError:  # told where that real is scored; another one takes its place here
            continue
    raise UsageError("the condition fakes_like_reals: none of the set's real pictures can be read")


ALIKE_SHORT_SIDE = 192
ALIKE_SHRINK = 0.8
"""Every picture is resampled, and whatever is 240 px or more on its shorter side ends at one size."""
ALIKE_QUALITY = 85


def _alike(pixels: UInt8, _: PictureContext) -> UInt8:
    factor = min(ALIKE_SHRINK, ALIKE_SHORT_SIDE / min(pixels.shape[:2]))
    return perturb.jpeg(perturb.rescale(pixels, factor), ALIKE_QUALITY, "4:2:0")


for _view in (
    Condition("delivered", "as delivered: the file's own pixels", _unchanged),
    Condition(
        "fakes_like_reals",
        "a diagnosis, for it looks at the label: reals as delivered; each fake shrunk to the shorter side, and encoded "
        "with the JPEG tables and subsampling, of a real picture drawn from the set in the order of their SHA-256",
        _fake_like_a_real,
    ),
    Condition(
        "alike",
        f"everything re-encoded alike: shrunk to a shorter side of {ALIKE_SHORT_SIDE} px, or to {ALIKE_SHRINK:.0%} "
        f"of its size where that is smaller, then JPEG quality {ALIKE_QUALITY} 4:2:0, real and fake the same",
        _alike,
        parameters={"short_side": ALIKE_SHORT_SIDE, "shrink": ALIKE_SHRINK, "quality": ALIKE_QUALITY},
    ),
):
    CONDITIONS.register(_view.name)(_view)


@dataclass(frozen=True)
class Family:
    """One kind of perturbation at rising severities, the same for real and fake; severity 0 is none."""

    name: str
    words: str
    """Description, with the names of the parameters in braces."""
    perturb: Callable[..., UInt8]
    """(pixels, **parameters) to pixels; with `rng` where it is seeded."""
    named_by: str
    """The parameter whose value stands in a condition's name, as in jpeg-70."""
    levels: tuple[Mapping[str, Parameter], ...]
    """Parameters of severity 1, 2, ..."""
    is_seeded: bool = False

    def at(self, severity: int) -> Condition:
        """The condition of that severity. Raises UsageError for one that the family does not have."""
        if not 0 <= severity <= len(self.levels):
            raise UsageError(f"severity {severity}: {self.name} has 0 to {len(self.levels)}")
        if severity == 0:
            return Condition(f"{self.name}-none", "as delivered", _unchanged, self.name, 0.0)
        parameters = self.levels[severity - 1]
        name = f"{self.name}-{parameters[self.named_by]}"

        def apply(pixels: UInt8, context: PictureContext) -> UInt8:
            seeded = {"rng": context.rng(name)} if self.is_seeded else {}
            return self.perturb(pixels, **parameters, **seeded)

        return Condition(name, self.words.format(**parameters), apply, self.name, float(severity), parameters)

    @property
    def conditions(self) -> list[Condition]:
        """All severities from 1."""
        return [self.at(severity) for severity in range(1, len(self.levels) + 1)]


FAMILIES: Registry[Family] = Registry("family of perturbations")


def _levels(name: str, values: Iterable[Parameter], **fixed: Parameter) -> tuple[dict[str, Parameter], ...]:
    return tuple({name: value, **fixed} for value in values)


for _family in (
    Family("jpeg", "JPEG quality {quality}, {subsampling}", perturb.jpeg, "quality",
           _levels("quality", (90, 70, 50, 30), subsampling="4:2:0")),
    Family("webp", "lossy WebP quality {quality}", perturb.webp, "quality", _levels("quality", (80, 50, 20))),
    Family("double_jpeg", "JPEG quality {first}, then {second} on a grid shifted by {shift_px} px, 4:2:0",
           perturb.double_jpeg, "second",
           tuple({"first": a, "second": b, "shift_px": 4} for a, b in ((95, 90), (85, 75), (70, 50)))),
    Family("resize", "shrunk to {factor} of both sides, bicubic", perturb.rescale, "factor",
           _levels("factor", (0.75, 0.5, 0.25))),
    Family("enlarge", "enlarged {factor} times, bicubic", perturb.rescale, "factor", _levels("factor", (1.5, 2))),
    Family("blur", "Gaussian blur of {sigma_px} px", perturb.gaussian_blur, "sigma_px", _levels("sigma_px", (1, 2, 3))),
    Family("noise", "Gaussian noise of {sigma} grey levels, clipped", perturb.gaussian_noise, "sigma",
           _levels("sigma", (5, 10, 20)), is_seeded=True),
    Family("crop", "a random part with {share} of both sides", perturb.random_crop, "share",
           _levels("share", (0.8, 0.6, 0.4)), is_seeded=True),
    Family("screenshot", "shown at {scale} of its size (bilinear) between bars of {margin} of its height, then "
           "JPEG quality {quality} (0: lossless)", perturb.screenshot, "scale",
           tuple({"scale": scale, "margin": 0.08, "quality": q} for scale, q in ((0.9, 0), (0.7, 0), (0.5, 80)))),
    Family("social", "passed on {times} times: each time shrunk to {scale}, sharpened by {sharpen}, JPEG quality "
           "{quality} 4:2:0", perturb.reshare, "times",
           _levels("times", (1, 2, 3), scale=0.85, quality=75, sharpen=0.5)),
    Family("h264", "H.264 (libx264) at CRF {crf}, a frame of a still clip", h264, "crf", _levels("crf", (23, 40, 50))),
):  # fmt: skip
    FAMILIES.register(_family.name)(_family)
    for _condition in _family.conditions:
        CONDITIONS.register(_condition.name)(_condition)

MASKED = "masked"
STREAMS = ("spatial", "frequency", "semantic")
"""Of the default detector; the subsets of these have conditions that go by name."""


def masked(streams: tuple[str, ...]) -> Condition:
    """As delivered, but only these streams take part."""
    words = f"as delivered; of the streams only {' + '.join(streams)}, the others masked at inference"
    return Condition(f"{MASKED}-{'+'.join(streams)}", words, _unchanged, MASKED, streams=streams)


def subsets(streams: tuple[str, ...]) -> list[tuple[str, ...]]:
    """All 2^S - 1 that are not empty, the smaller ones first; inside one the order stays.

    >>> subsets(("a", "b"))
    [('a',), ('b',), ('a', 'b')]
    """
    return [chosen for size in range(1, len(streams) + 1) for chosen in combinations(streams, size)]


for _streams in subsets(STREAMS):
    CONDITIONS.register(masked(_streams).name)(masked(_streams))


def perturbations(families: Iterable[str] = ()) -> list[Condition]:
    """`delivered`, then every severity of the named families, or of all. Raises ConfigError for an unknown one."""
    names = list(dict.fromkeys(families)) or list(FAMILIES)
    return [CONDITIONS["delivered"], *(condition for name in names for condition in FAMILIES[name].conditions)]


def rehearse(conditions: Iterable[Condition]) -> None:
    """Apply each to a small grey picture, so that a missing library is told before hours of scoring, not after."""
    for condition in conditions:
        condition.apply(np.full((32, 32, 3), 128, np.uint8), PictureContext("", 0))
