"""Where a training departs from the paper whose name its detector carries, from the config, in words for a footnote."""

from __future__ import annotations

from tristream.detectors import Detector
from tristream.training.augment import Augmentation
from tristream.training.config import TrainConfig


def departures(config: TrainConfig, detector_class: type[Detector]) -> tuple[str, ...]:
    """What differs from `Detector.paper`; nothing for a detector of no paper."""
    paper = detector_class.paper
    if paper is None:
        return ()
    found = []
    if config.input_size != paper.input_size:
        found.append(f"training crops of {config.input_size} px; the paper: {paper.input_size} px")
    if config.batch_size != paper.batch_size:
        found.append(f"batches of {config.batch_size} pictures; the paper: {paper.batch_size}")
    if paper.learning_rate is not None and config.optim.learning_rate != paper.learning_rate:
        found.append(f"a learning rate of {config.optim.learning_rate:g}; the paper: {paper.learning_rate:g}")
    if config.embedded_copies:
        copies = f"{config.embedded_copies} augmented copies of each picture, embedded once in half precision"
        found.append(f"{copies}; the paper: another one every time")
    theirs = paper.augmentation
    if theirs.config is not None and config.augmentation == Augmentation.model_validate(theirs.config):
        found.append(theirs.departure)
    else:
        ours = "tristream's augmentation" if config.augmentation == Augmentation() else "an augmentation of its own"
        found.append(f"{ours} in place of {theirs.words}")
    return tuple(found)
