"""The multi-stream detector: any subset of the registered streams, MLAF fusion, one logit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import Field, field_validator, model_validator
from safetensors import safe_open
from torch import Tensor, nn

from tristream.detectors.backbones import initialisation_of, read_safetensors
from tristream.detectors.base import DETECTORS, DetectorConfig, DetectorOutput, Embedder, Probe
from tristream.detectors.multistream.fusion import MLAFFusion
from tristream.detectors.multistream.streams import STREAMS, Stream, StreamConfig
from tristream.errors import CheckpointError

# B images, S streams


class MultiStreamConfig(DetectorConfig):
    """Which streams, what each is made of, and the fusion."""

    streams: tuple[str, ...] = ("spatial", "frequency", "semantic")
    options: dict[str, StreamConfig] = Field(default_factory=dict)
    """Options by stream name; streams that are not listed in `streams` may keep theirs here."""
    image_size: int = Field(256, ge=32)
    """Native size in px of the position grid and of the spectral mask; other sizes are resampled at run time."""
    width: int = Field(256, ge=8)
    heads: int = Field(4, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)

    @field_validator("streams")
    @classmethod
    def _known_and_unique(cls, streams: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in streams if name not in STREAMS]
        if unknown or not streams or len(set(streams)) != len(streams):
            raise ValueError(f"expected one or more different streams of {', '.join(STREAMS)}")
        return streams

    @model_validator(mode="after")
    def _fits(self) -> MultiStreamConfig:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        unknown = [name for name in self.options if name not in STREAMS]
        if unknown:
            raise ValueError(f"options for unknown streams {unknown}; there are {', '.join(STREAMS)}")
        return self


@DETECTORS.register("multistream")
class MultiStreamDetector(Probe):
    """Parallel streams on the same pixels, fused per sample. With frozen backbones it is trained like a probe."""

    config_class = MultiStreamConfig

    def __init__(self, config: MultiStreamConfig, *, load_weights: bool = True) -> None:
        super().__init__()
        self.stream_names = config.streams
        self.streams = nn.ModuleDict()
        for name in config.streams:
            self.streams[name] = _build_stream(name, config, load_weights)
        starts = {name: _initialisation(name, config) for name in config.streams}
        told = config.initialisation if set(starts.values()) != {"random"} else ""
        self.initialisation = told or ", ".join(f"{name} {start}" for name, start in starts.items())
        self.feature_sizes = {name: int(stream.features) for name, stream in self.streams.items()}  # type: ignore[arg-type]
        self.fusion = MLAFFusion(list(self.feature_sizes.values()), config.width, config.heads, config.dropout)

    def forward(self, pixels: Tensor, stream_mask: Tensor | None = None) -> DetectorOutput:
        return self.fuse({name: stream(pixels) for name, stream in self.streams.items()}, stream_mask)

    def embedders(self) -> dict[str, Embedder]:
        return {name: stream.embedder() for name, stream in self._streams.items()}

    def classify(self, embedding: Tensor, stream_mask: Tensor | None = None) -> DetectorOutput:
        parts = embedding.split([stream.embedding for stream in self._streams.values()], dim=-1)
        found = zip(self._streams.items(), parts, strict=True)
        return self.fuse({name: stream.conclude(part) for (name, stream), part in found}, stream_mask)

    @property
    def _streams(self) -> dict[str, Stream]:
        return dict(self.streams.items())  # type: ignore[arg-type]

    def fuse(self, features: Mapping[str, Tensor], stream_mask: Tensor | None = None) -> DetectorOutput:
        if stream_mask is None:
            first = features[self.stream_names[0]]
            stream_mask = torch.ones(first.shape[0], len(self.stream_names), dtype=torch.bool, device=first.device)
        elif not torch.jit.is_tracing() and not bool(stream_mask.any(-1).all()):
            raise ValueError("stream_mask leaves a picture without any stream")
        logits, tokens, weights = self.fusion([features[name] for name in self.stream_names], stream_mask)
        return DetectorOutput(logits, tokens, weights, features)


def _initialisation(name: str, config: MultiStreamConfig) -> str:
    options = config.options.get(name, StreamConfig())
    return initialisation_of(options.backbone or STREAMS[name].default_backbone, options.weights)


def _build_stream(name: str, config: MultiStreamConfig, load_weights: bool) -> Stream:
    options = config.options.get(name, StreamConfig())
    weights = options.weights if load_weights else "none"
    prefix = f"streams.{name}."
    checkpoint = Path(weights)
    if weights in ("hub", "none") or not _holds_stream(checkpoint, prefix):
        return STREAMS[name](options, config.image_size, weights)
    stream = STREAMS[name](options, config.image_size, "none")
    tensors = {k.removeprefix(prefix): v for k, v in read_safetensors(checkpoint).items() if k.startswith(prefix)}
    anew = ("standardise.", "project.") if options.takes == "backbone" else ()
    tensors |= {k: v for k, v in stream.state_dict().items() if k.startswith(anew)}
    try:
        stream.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        raise CheckpointError(
            f"{checkpoint}: its stream '{name}' does not fit this config: {str(error)[:400]}"
        ) from None
    return stream


def _holds_stream(path: Path, prefix: str) -> bool:
    """Whether a safetensors file is a tristream checkpoint with that stream (else it is a backbone's file)."""
    if path.suffix != ".safetensors" or not path.is_file():
        return False
    with safe_open(path, framework="pt") as file:
        return any(key.startswith(prefix) for key in file.keys())  # noqa: SIM118  (not a dict)
