"""Suites: the protocols of the field as lists of test sets, each an ordinary evaluation; one table of cells at the end.

A cell whose data are not there is empty and says how they are obtained. Nothing is fitted on any of these pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from tristream.atomic import write_text
from tristream.config import StrictModel
from tristream.errors import ManifestError, UsageError
from tristream.evaluation.checkpoint import Opened, PictureSet, evaluate_opened
from tristream.evaluation.conditions import USUAL, VIEWS
from tristream.evaluation.figures import Figure, Stored, compute_figures, mean_over_generators, statistic_of
from tristream.evaluation.predictions import VIDEO, Pictures, read_conditions
from tristream.evaluation.record import parse_record
from tristream.registry import Registry
from tristream.typing import Bool, Float64, Progress

MEASURES = ("auroc", "average_precision", "accuracy_at_zero", "oracle_accuracy", "balanced_accuracy_at_half")
"""What the protocols of these sets report; a raw output of 0.5 is a logit of 0."""
ALL = "all"
"""The part that is the whole set; the others are generators or manipulations."""
MEAN = "mean of the generators"
RESULT = "suite.json"


@dataclass(frozen=True)
class TestSet:
    """One set of pictures that a suite looks at."""

    __test__ = False  # for pytest: not a test

    name: str
    manifest: str
    """File in the folder that holds the suite's manifests; empty for the manifest that is given itself."""
    obtain: str
    """The command that makes it, of data whose terms have to be accepted first where that is so."""
    split: str | None = "test"
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Values of a column that are looked at."""
    is_of_videos: bool = False
    """Its pictures are frames, which the protocol also scores as videos."""
    own_reals: bool = False
    """A generator is set against the reals of its own source, not against all."""


@dataclass(frozen=True)
class Suite:
    """Test sets and the conditions under which they are scored."""

    description: str
    sets: tuple[TestSet, ...]
    conditions: tuple[str, ...] = USUAL


SUITES: Registry[Suite] = Registry("suite")

_SO_FAKE = "tristream data index So-Fake-OOD -o so-fake-ood.parquet --extract-to so-fake-pictures"
_ON_REQUEST = "; its authors give it out on request"
_CELEB_DF = (
    "tristream data frames Celeb-DF-v2 -o celebdf-frames, then "
    "tristream data index celebdf-frames/manifest.csv -o celebdf.parquet" + _ON_REQUEST
)
_FFPP = "tristream data index FaceForensics -o ffpp-{0}.parquet --set compression={0} --set media=frames" + _ON_REQUEST

SUITES.register("in-distribution")(
    Suite("the test split of a manifest whose other splits were trained on, in three views",
          (TestSet("test split", "", "tristream data split"),), VIEWS)
)  # fmt: skip
SUITES.register("ood")(
    Suite(
        "So-Fake-OOD, per generator; wholly synthetic pictures also by themselves",
        (
            TestSet("So-Fake-OOD", "so-fake-ood.parquet", _SO_FAKE),
            TestSet("So-Fake-OOD, wholly synthetic", "so-fake-ood.parquet", _SO_FAKE,
                    only={"manipulation": ("real", "full_synthetic")}),
        ),
    )
)  # fmt: skip
SUITES.register("cross-dataset")(
    Suite(
        "FaceForensics++ per method and compression, then Celeb-DF-v2; frames, and videos by their frames' mean output",
        (
            *(
                TestSet(f"FaceForensics++ {c}", f"ffpp-{c}.parquet", _FFPP.format(c), is_of_videos=True)
                for c in ("raw", "c23", "c40")
            ),
            TestSet("Celeb-DF-v2", "celebdf.parquet", _CELEB_DF, is_of_videos=True),
        ),
        ("delivered",),
    )
)
SUITES.register("cross-generator")(
    Suite(
        "GenImage: the val pictures of its eight generators, each against its own reals",
        (TestSet("GenImage val", "genimage.parquet", "tristream data index GenImage -o genimage.parquet",
                 split="validation", own_reals=True),),
    )
)  # fmt: skip


class SuiteCell(StrictModel):
    """The figures of one detector on one part of one set, or why there are none."""

    checkpoint: str
    set: str
    condition: str
    unit: str
    """picture, frame or video."""
    part: str
    n_real: int = 0
    n_fake: int = 0
    figures: dict[str, Figure]
    run: str | None = None
    """Folder of the evaluation, in that of this file."""


class SuiteResult(StrictModel):
    """What `suite.json` holds."""

    suite: str
    description: str
    cells: list[SuiteCell]


def run_suite(
    name: str,
    opened: Sequence[Opened],
    data: Path,
    out: Path,
    *,
    limit: int | None = None,
    seed: int = 0,
    resamples: int = 1000,
    progress: Progress | None = None,
    command: str = "",
) -> SuiteResult:
    """Evaluate each detector on each set that is there; write `out`/<detector>/<set> and suite.json.

    data: the folder of the suite's manifests; for in-distribution, a manifest. What is finished is kept, the cells of
    other detectors in `out`, too. Raises ConfigError for an unknown suite, UsageError where none of its sets is there
    and for the folder of another suite.
    """
    suite = SUITES[name]
    found = [(test_set, _pictures(test_set, data, limit)) for test_set in suite.sets]
    if not any(isinstance(pictures, PictureSet) for _, pictures in found):
        raise UsageError("; ".join(dict.fromkeys(str(reason) for _, reason in found)))
    before = parse_record(SuiteResult, out / RESULT) if (out / RESULT).is_file() else None
    if before is not None and before.suite != name:
        raise UsageError(f"{out}: holds another suite; choose another output folder")
    cells: list[SuiteCell] = []
    for detector in opened:
        label = f"{detector.detector.metadata.name} ({detector.digest})"
        for test_set, pictures in found:
            if not isinstance(pictures, PictureSet):
                cells += [_empty(label, test_set.name, condition, pictures) for condition in suite.conditions]
                continue
            run = f"{_folder(detector.detector.metadata.name)}-{detector.digest}/{_folder(test_set.name)}"
            evaluate_opened(detector, pictures, out / run, conditions=suite.conditions, seed=seed,
                            resamples=resamples, progress=progress, command=command)  # fmt: skip
            predictions = pd.read_parquet(out / run / "predictions.parquet")
            cells += _cells(predictions, label, test_set, run, seed, resamples)
    scored = {cell.checkpoint for cell in cells}
    cells = [*(cell for cell in (before.cells if before else ()) if cell.checkpoint not in scored), *cells]
    result = SuiteResult(suite=name, description=suite.description, cells=cells)
    write_text(out / RESULT, result.model_dump_json(indent=1) + "\n")
    return result


def _pictures(test_set: TestSet, data: Path, limit: int | None) -> PictureSet | str:
    """The set, or why it cannot be scored."""
    path = data / test_set.manifest if test_set.manifest else data
    if not path.is_file():
        return f"{path} is no file; make it with: {test_set.obtain}"
    pictures = PictureSet(path, test_set.split, limit, only=test_set.only)
    try:
        manifest = pictures.read()
    except (ManifestError, UsageError) as error:
        return str(error)
    if not len(manifest):
        wanted = "; ".join(f"{column}: {' or '.join(values)}" for column, values in test_set.only.items())
        return f"{path.name} has no picture of this kind ({wanted})"
    if (manifest.table["media"] == "video").any():
        return f"{path.name} names videos; take frames out of them and index these, with a column '{VIDEO}'"
    return pictures


def _empty(checkpoint: str, name: str, condition: str, reason: str, unit: str = "picture") -> SuiteCell:
    figures = dict.fromkeys(MEASURES, Figure(reason=reason))
    return SuiteCell(checkpoint=checkpoint, set=name, condition=condition, unit=unit, part=ALL, figures=figures)


def _cells(
    predictions: pd.DataFrame, checkpoint: str, test_set: TestSet, run: str, seed: int, resamples: int
) -> Iterator[SuiteCell]:
    units = {"picture": predictions}
    if VIDEO in predictions:
        units = {"frame": predictions, "video": by_video(predictions)}
    elif test_set.is_of_videos:
        reason = f"{test_set.manifest} has no column '{VIDEO}', so frames are of no video"
        for condition in dict.fromkeys(predictions["condition"]):
            yield _empty(checkpoint, test_set.name, str(condition), reason, unit="video")
    for unit, table in units.items():
        for condition, pictures in read_conditions(table).items():
            scored = pictures.scored
            generators = _generators(scored, test_set.own_reals)
            found = {
                part: compute_figures(scored[chosen_N], MEASURES, stored=Stored(), resamples=resamples, seed=seed)
                for part, chosen_N in {ALL: np.ones(len(scored), np.bool_), **generators}.items()
            }
            if len(generators) > 1:
                found[MEAN] = {
                    measure: _mean(measure, scored, generators, found, resamples=resamples, seed=seed)
                    for measure in MEASURES
                }
            for part, figures in found.items():
                label_N = scored.label_N[generators.get(part, slice(None))]
                yield SuiteCell(
                    checkpoint=checkpoint,
                    set=test_set.name,
                    condition=condition,
                    unit=unit,
                    part=part,
                    n_real=int((label_N == 0).sum()),
                    n_fake=int((label_N == 1).sum()),
                    figures=figures,
                    run=run,
                )


def _generators(pictures: Pictures, own_reals: bool) -> dict[str, Bool]:
    """By generator, which pictures are its own or the reals that it is set against: bool[N]."""
    fake_N, found = pictures.label_N == 1, {}
    for name in np.unique(pictures.generator_N[fake_N]):
        of_generator_N = fake_N & (pictures.generator_N == name)
        real_N = ~fake_N
        if own_reals:
            real_N &= np.isin(pictures.source_N.astype(str), pictures.source_N[of_generator_N].astype(str))
        found[str(name)] = real_N | of_generator_N
    return found


def _mean(
    measure: str,
    pictures: Pictures,
    generators: Mapping[str, Bool],
    figures: Mapping[str, Mapping[str, Figure]],
    *,
    resamples: int,
    seed: int,
) -> Figure:
    """Every generator counts alike; its interval is over groups of pictures and over generators."""
    reasons = [(name, f[measure].reason) for name in generators if (f := figures[name])[measure].value is None]
    if reasons:
        is_of_all = len(reasons) == len(generators) and len({reason for _, reason in reasons}) == 1
        return Figure(reason=reasons[0][1] if is_of_all else f"{reasons[0][0]}: {reasons[0][1]}")
    parts = [(chosen_N, statistic_of(measure, pictures[chosen_N], Stored())) for chosen_N in generators.values()]
    classes = [pictures.label_N == label for label in (0, 1)]

    def statistic(counts_RN: Float64) -> Float64:
        columns = []
        for chosen_N, of_part in parts:
            there = [chosen_N & side_N for side_N in classes if (chosen_N & side_N).any()]
            lost_R = ~np.logical_and.reduce([counts_RN[:, side_N].any(axis=1) for side_N in there])
            with np.errstate(invalid="ignore", divide="ignore"):
                columns.append(np.where(lost_R, np.nan, of_part(counts_RN[:, chosen_N])))
        return np.stack(columns, axis=1)

    return mean_over_generators(statistic, pictures, resamples=resamples, seed=seed)


def by_video(predictions: pd.DataFrame) -> pd.DataFrame:
    """One row per condition and video; failed where all frames did.

    Its logit is that of its frames' mean raw output, the sigmoid of the logit before calibration, as the protocols have
    it; its probability is the mean of theirs. Frames are of one video by the column `video` and the label; one without
    it is a video of its own.
    """
    video = predictions[VIDEO].where(predictions[VIDEO].notna(), "")
    table = predictions.assign(
        output=expit(predictions["logit"]), **{VIDEO: video.where(video != "", predictions["path"])}
    )
    columns = {name: (name, "first") for name in ("path", "generator", "source", "group", "split")}
    videos = table.groupby(["condition", VIDEO, "label"], sort=False).agg(
        **columns,
        logit=("output", lambda frames: float(logit(np.clip(frames.mean(), 1e-15, 1 - 1e-15)))),
        probability=("probability", "mean"),
    )
    videos["error"] = np.where(videos["logit"].isna(), "no frame of it could be scored", "")
    return videos.reset_index().rename(columns={VIDEO: "id"})


def _folder(name: str) -> str:
    return "".join(c if c.isalnum() or c in ".+" else "-" for c in name.lower()).strip("-").replace("--", "-")
