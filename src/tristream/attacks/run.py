"""Attack a detector on a set of pictures and evaluate it on what comes out, with a record; goes on after a kill."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from tristream.atomic import write_text
from tristream.attacks.budget import Attack
from tristream.attacks.checks import Check, sanity
from tristream.attacks.crafted import Store, conditions_of, rounded
from tristream.attacks.crafting import Crafter
from tristream.data.manifest import Manifest
from tristream.data.sample import balanced_sample
from tristream.errors import ImageError, ManifestError, UsageError
from tristream.evaluation.checkpoint import Opened, PictureSet, evaluate_opened
from tristream.evaluation.conditions import CONDITIONS, Condition, PictureContext, contexts_of
from tristream.evaluation.predictions import read_conditions
from tristream.evaluation.record import AttacksRecord
from tristream.evaluation.summary import Summary
from tristream.images.decode import decode
from tristream.images.preprocess import Preprocessing
from tristream.runtime.torch_session import TorchSession
from tristream.typing import Float32, ProgressInWords

log = logging.getLogger(__name__)

CHECKS = "checks.json"
LIBRARY = "adversarial-robustness-toolbox"


def attack(
    opened: Opened,
    pictures: PictureSet,
    out: Path,
    attacks: Sequence[Attack],
    *,
    seed: int = 0,
    resamples: int = 1000,
    batch_size: int | None = None,
    show: ProgressInWords | None = None,
    command: str = "",
) -> tuple[Summary, list[Check]]:
    """Craft, then score: `out` holds the record of an evaluation, and checks.json.

    Each attack takes a balanced part of `pictures`. seed: of the random starts and of the bootstrap; batch_size: of
    pictures that are crafted together, by default 8, on a GPU 32. Progress is in scorings of a picture. Raises
    UsageError for an exported file, for a detector without a stored threshold or without gradients, and for a picture
    that stands twice; else as `evaluate`.
    """
    session, metadata = opened.detector.session, opened.detector.metadata
    if not isinstance(session, TorchSession):
        raise UsageError(
            f"{opened.path}: an exported file has no gradients to attack by; name a .safetensors checkpoint"
        )
    if metadata.calibration is None:
        raise UsageError(f"{opened.path}: has no stored threshold to cross; run `tristream calibrate` on it first")
    threshold = metadata.calibration.balanced_accuracy_threshold
    manifest, store = pictures.read(), Store(out / "crafted")
    if (twice := manifest.table[manifest.table["sha256"].duplicated()]).size:
        raise UsageError(
            f"{pictures.data}: {twice['path'].iloc[0]} stands there twice; an attack needs each picture once"
        )
    parts = [(attack, balanced_sample(manifest, attack.pictures)) for attack in attacks]
    conditions = [CONDITIONS["delivered"], *_conditions(parts, manifest, store, threshold, seed)]
    crafting = sum(attack.cost * len(part) for attack, part in parts)
    total = crafting + sum(len(condition.of(manifest)) for condition in conditions)

    def craft_all() -> None:
        crafter = Crafter(session.detector, session.device, threshold, metadata.preprocessing.crop)
        size, done = batch_size or (32 if session.device.type == "cuda" else 8), 0
        for attack, part in parts:
            for start in range(0, len(part), size):
                batch = part.where([start <= row < start + size for row in range(len(part))])
                if craft(crafter, attack, batch, metadata.preprocessing, store, seed) and show:
                    show(done + attack.cost * len(batch), total, attack.name)
                done += attack.cost * len(batch)

    summary = evaluate_opened(
        opened, pictures, out, conditions=conditions, seed=seed, resamples=resamples, command=command,
        attacks=AttacksRecord(threshold_logit=threshold, seed=seed, library=f"{LIBRARY} {version(LIBRARY)}"),
        prepare=craft_all, progress=(lambda done, _: show(crafting + done, total, "scoring")) if show else None,
    )  # fmt: skip
    shutil.rmtree(store.folder, ignore_errors=True)
    return summary, _checked(out, summary, conditions)


def craft(
    crafter: Crafter, attack: Attack, batch: Manifest, preprocessing: Preprocessing, store: Store, seed: int
) -> bool:
    """Attack the pictures of a batch that can be read and keep them; False where that was done before."""
    readable: list[tuple[PictureContext, Float32]] = []
    for row, context in enumerate(contexts_of(batch, seed)):
        try:
            readable.append((context, preprocessing.crops(decode(batch.file(row)).pixels)))
        except ImageError as error:
            log.warning("not attacked: %s", error)
    if all((attack.name, context.id) in store for context, _ in readable):
        return False
    contexts, pictures = [context for context, _ in readable], [crops for _, crops in readable]
    for context, crops in zip(contexts, crafter.craft(attack, pictures, contexts), strict=True):
        store.write(attack.name, context.id, crops if attack.is_kept_unrounded else rounded(crops))
    return True


def _conditions(
    parts: Sequence[tuple[Attack, Manifest]], manifest: Manifest, store: Store, threshold: float, seed: int
) -> list[Condition]:
    found = []
    for attack, part in parts:
        if set(part.table["label"]) != {0, 1}:
            raise ManifestError(f"{attack.name}: expected real and fake pictures, got {len(part)} of one class")
        ids = None if len(part) == len(manifest) else frozenset(part.table["sha256"])
        found += conditions_of(attack, store, ids, len(part), threshold, seed)
    return found


def _checked(out: Path, summary: Summary, conditions: Sequence[Condition]) -> list[Check]:
    """Write and return the checks; a warning for each that failed."""
    pictures = read_conditions(pd.read_parquet(out / "predictions.parquet"))
    checks = sanity(pictures, summary.stored("delivered"), {c.name: c.parameters for c in conditions})
    text = json.dumps([check.model_dump() for check in checks], indent=1)
    write_text(out / CHECKS, text + "\n")
    for check in checks:
        if check.passed is False:
            log.warning("check failed: %s", check.words)
    return checks
