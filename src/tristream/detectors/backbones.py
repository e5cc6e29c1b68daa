"""Backbones by timm name, with weights from the hub, from a safetensors file, or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models import PretrainedCfg
from torch import Tensor, nn

from tristream.detectors.base import Normalise
from tristream.detectors.low_rank import Reduction, reduce
from tristream.errors import CheckpointError, ConfigError


def create_backbone(
    name: str,
    weights: str,
    *,
    image_size: int | None = None,
    features: int = 0,
    reduction: Reduction | None = None,
) -> nn.Module:
    """A timm model without classifier (`features=0`) or with a projection to `features` values.

    weights: "hub" (timm's own, needs the network once), "none" (random), or a safetensors file with timm's names.
    image_size: native size of a transformer's position grid in px; any other size is resampled at run time.
    reduction: what to keep of a vision transformer; the file then holds the reduced model (tools/reduce_rank.py).
    Raises ConfigError for a name that timm does not know, CheckpointError for weights that do not fit.
    """
    settings = settings_of(name)
    if weights == "hub" and not settings.hf_hub_id and not settings.file:
        raise ConfigError(
            f"timm has the weights of {name} as a pickle only, which can run code when opened; make a safetensors file "
            f"of it (tools/convert_pickled.py {name} FILE) and name that, or start without (none)"
        )
    if weights == "hub" and reduction is not None and reduction.is_thin:
        raise ConfigError(f"{name}: the hub has no weights of a reduced rank; make them with tools/reduce_rank.py")
    options: dict[str, Any] = {"num_classes": features}
    if timm.model_entrypoint(name).__module__ == "timm.models.vision_transformer":
        options |= {"dynamic_img_size": True} | ({"img_size": image_size} if image_size is not None else {})
    model: nn.Module = timm.create_model(name, pretrained=weights == "hub", **options)
    dropped = () if reduction is None else reduce(model, reduction)
    if weights not in ("hub", "none"):
        load_backbone_file(model, Path(weights), dropped)
    return model


def settings_of(name: str) -> PretrainedCfg:
    """What timm knows of a model's pretrained weights: input size, mean and deviation, number of outputs, licence.

    name: an architecture, or `architecture.tag` for one set of its weights. Raises ConfigError for a name not known.
    """
    if not timm.is_model(name):
        raise ConfigError(
            f"timm has no model '{name}'; `timm.list_models('*{name.split('_')[0]}*')` lists similar names"
        )
    try:
        return timm.get_pretrained_cfg(name) or PretrainedCfg()
    except RuntimeError:
        architecture, _, tag = name.partition(".")
        known = ", ".join(model.partition(".")[2] for model in timm.list_pretrained(f"{architecture}.*"))
        raise ConfigError(f"timm has no weights '{tag}' of {architecture}; there are: {known or 'none'}") from None


def load_backbone_file(model: nn.Module, path: Path, dropped: tuple[str, ...] = ()) -> None:
    """Load a safetensors file with timm's names. A classifier that the model lacks, and tensors whose names begin with
    one of `dropped`, are left out; all else must fit."""
    tensors = read_safetensors(path)
    if hasattr(model, "pos_embed") and "pos_embed" in tensors:
        from timm.layers import resample_abs_pos_embed

        embedding: Tensor = model.pos_embed  # type: ignore[assignment]
        if tensors["pos_embed"].shape != embedding.shape:
            grid: tuple[int, int] = model.patch_embed.grid_size  # type: ignore[union-attr, assignment]
            tensors["pos_embed"] = resample_abs_pos_embed(tensors["pos_embed"], list(grid))
    wanted = model.state_dict()
    left_out = ("classifier.", "head.", "fc.", *dropped)
    kept = {name: value for name, value in tensors.items() if name in wanted or not name.startswith(left_out)}
    try:
        model.load_state_dict(kept, strict=True)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: does not fit {type(model).__name__}: {str(error)[:400]}") from None


def initialisation_of(backbone: str, weights: str, told: str = "") -> str:
    """What the weights of a backbone learnt on, in words for a table: ImageNet, CLIP, random, or the name of a file.

    told: by a config; of no weights it tells nothing.
    """
    if weights == "none":
        return "random"
    if told:
        return told
    if weights != "hub":
        return f"file {Path(weights).name}"
    tag = settings_of(backbone).tag or ""
    learnt = [word for word, is_it in (("CLIP", "clip" in backbone), ("ImageNet", "in1k" in tag)) if is_it]
    return " and ".join(learnt) or f"hub {tag}".strip()


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file as float32 (integers unchanged). Anything else is refused: pickles can run code."""
    if path.suffix != ".safetensors":
        raise CheckpointError(
            f"{path}: weights are 'hub', 'none' (random) or a .safetensors file; pickled files can run code when opened"
        )
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file: {error}") from None
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def output_features(model: nn.Module) -> int:
    """Length of the feature vector that a timm model without classifier returns."""
    return int(getattr(model, "head_hidden_size", None) or model.num_features)  # type: ignore[arg-type]


def normalisation_of(model: nn.Module) -> Normalise:
    """The normalisation that a timm model was trained with."""
    settings: dict[str, Any] = model.pretrained_cfg  # type: ignore[assignment]
    return Normalise(tuple(settings["mean"]), tuple(settings["std"]))
