"""Predictions as people and programs read them: a table, a JSON list, a flat CSV, and the file that they go to."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tristream.atomic import replaced
from tristream.errors import UsageError
from tristream.metrics.calibration import Calibration, Claim
from tristream.metrics.reserved import FAKE_SHARES, ReservedVerdicts, Share
from tristream.runtime.predictor import Prediction, Predictor
from tristream.runtime.stability import Stability

_COLOURS = {"likely_fake": "bold red", "likely_real": "green", "unsure": "yellow", "failed": "magenta"}
_PIPE_WIDTH = 10_000
"""Columns of a table that goes to a file or a pipe: so many that a row stays on one line."""


def write_json(predictions: Iterable[Prediction], stream: TextIO) -> None:
    """A list of records, one per line as they come; a valid list also when it ends early by an exception."""
    stream.write("[")
    separator = "\n"
    try:
        for prediction in predictions:
            stream.write(separator + prediction.model_dump_json())
            separator = ",\n"
    finally:
        stream.write("\n]\n")


def write_csv(predictions: Iterable[Prediction], stream: TextIO, stream_names: Sequence[str]) -> None:
    """One row per picture or video; reasons joined by `;`, `weight_<stream>` per stream; empty where there is no value.

    `origin` holds the claims in words, joined by `; `; of the re-test, `copies`, `flips` and `spread`;
    of the domain check, `distance` and `distance_limit`; of a video, `view`, `frames` (taken) and `frames_scored`.
    """
    weights = [f"weight_{name}" for name in stream_names]
    columns = ["path", "sha256", "verdict", "reasons", "explanation", "probability_fake", "logit"]
    columns += ["threshold_fake", "threshold_real", "copies", "flips", "spread", "distance", "distance_limit"]
    columns += ["view", "frames", "frames_scored"]
    writer = csv.DictWriter(stream, [*columns, *weights, "origin", "model", "error"], lineterminator="\n")
    writer.writeheader()
    for prediction in predictions:
        flat = prediction.model_dump(include={*columns, "model", "error"}, exclude={"frames"})
        thresholds, stability, domain = prediction.thresholds, prediction.stability, prediction.domain
        timeline = prediction.frames
        shares = prediction.stream_weights or {}
        writer.writerow(
            flat
            | {"reasons": ";".join(prediction.reasons)}
            | ({"threshold_fake": thresholds.fake, "threshold_real": thresholds.real} if thresholds else {})
            | {"origin": "; ".join(claim.words for claim in prediction.origin)}
            | {f"weight_{name}": share for name, share in shares.items()}
            | (
                {"copies": len(stability.copies), "flips": stability.flips, "spread": stability.spread}
                if stability
                else {}
            )
            | ({"distance": domain.distance, "distance_limit": domain.limit} if domain else {})
            | (
                {"view": timeline.view, "frames": len(timeline.frames), "frames_scored": timeline.frames_scored}
                if timeline
                else {}
            )
        )


def write_table(predictions: Iterable[Prediction], stream: TextIO, footer: str) -> None:
    """A table for people, coloured on a terminal; control characters in names become escapes.

    `footer` stands below it where anything was scored.
    What a file says of its origin stands in a line below it, without a verdict.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("picture", overflow="fold")
    table.add_column("verdict", no_wrap=True)
    table.add_column("P(fake)", justify="right", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("stable", justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    is_any_scored = False
    for p in predictions:
        verdict = p.verdict or "failed"
        is_any_scored |= p.error is None
        table.add_row(
            Text(_visible(p.path or "(in memory)")),
            Text(verdict, _COLOURS[verdict]),
            "" if p.probability_fake is None else f"{p.probability_fake:.3f}",
            "" if p.logit is None else f"{p.logit:.2f}",
            "" if p.stability is None else _stable(p.stability),
            Text(_visible(p.explanation.removeprefix(f"{p.path}: "))),
        )
        if p.origin:
            note = "; ".join(claim.words for claim in p.origin)
            table.add_row("", "", "", "", "", Text(_visible(f"note: {note}"), "dim"))
    console = Console(file=stream, width=None if stream.isatty() else _PIPE_WIDTH)
    console.print(table)
    if is_any_scored:
        console.print(Text(footer), style="dim", soft_wrap=True)


def _stable(stability: Stability) -> str:
    return f"{len(stability.copies) - stability.flips}/{len(stability.copies)}, {stability.spread:.2f}"


def meaning(predictor: Predictor, false_alarm_rate: float, miss_rate: float) -> str:
    """What the verdicts mean, in the words and numbers of the checkpoint. Raises UsageError for impossible rates."""
    thresholds, calibration = predictor.thresholds(false_alarm_rate, miss_rate), predictor.calibration
    if thresholds is None or calibration is None:
        return f"{predictor.model_name} is not calibrated: no probability, no verdicts. Run 'tristream calibrate'."
    verdicts, domain = calibration.verdicts(thresholds.fake, thresholds.real), predictor.domain_model
    unfamiliar = (
        ()
        if domain is None
        else (f"Also unsure: pictures farther than {domain.limit:.1f} from the training pictures. {domain.words}.",)
    )
    likely_fake = promise(calibration, "likely_fake", false_alarm_rate, verdicts)
    likely_real = promise(calibration, "likely_real", miss_rate, verdicts)
    return "\n".join(
        (
            "How many of 100 pictures called likely_fake, by the score alone, are real: "
            f"{_at_shares(verdicts.real_among_likely_fake)}.",
            "How many of 100 pictures called likely_real, by the score alone, are fake: "
            f"{_at_shares(verdicts.fake_among_likely_real)}.",
            f"likely_fake: score above {thresholds.fake:.2f}. {likely_fake}",
            f"likely_real: score below {thresholds.real:.2f}. {likely_real}",
            "stable: how many re-encoded copies keep the verdict, and the spread of their scores. "
            "P(fake) supposes that half of the pictures are fake.",
            *unfamiliar,
            f"Reserved: {calibration.source}.",
        )
    )


def promise(calibration: Calibration, claim: Claim, rate: float, verdicts: ReservedVerdicts) -> str:
    """How often a verdict is wrong, on which pictures, and whether that is guaranteed or only measured."""
    if claim == "likely_fake":
        groups, pictures, group = verdicts.reals, "real pictures", "photo source"
    else:
        groups, pictures, group = verdicts.fakes, "fakes", "generator"
    n, wrong = sum(g.pictures for g in groups), sum(getattr(g, claim) for g in groups)
    measured = f"Of {n} reserved {pictures}, unsure ones included, {100 * wrong / n:.1f} % are called so"
    if not groups[0].name:
        return f"{measured}. Measured, not guaranteed for a new {group}."
    by_group = [100 * getattr(g, claim) / g.pictures for g in groups]
    measured += f" ({min(by_group):.0f} to {max(by_group):.0f} % by {group}: {len(groups)}"
    if calibration.shared is not None:
        shared = sum(g.name in calibration.shared for g in groups)
        measured += f", {shared} of them also in other splits" if shared else " not trained on"
    if calibration.guaranteed(claim, rate):
        return f"{measured}). Guaranteed: at most {100 * rate:g} % for a new {group} that is like these."
    least = f"{100 / (len(groups) + 1):.1f}"
    reach = f"with {len(groups)}, {least} % is the least that can be guaranteed"
    return f"{measured}). Measured, not guaranteed for a new {group}: {reach}."


def _at_shares(wrong: Callable[[float], Share]) -> str:
    shares = map(wrong, FAKE_SHARES)
    return "; ".join(f"where {100 * share.fake_share:g} % of all are fake, {_of_100(share)}" for share in shares)


def _of_100(share: Share) -> str:
    if share.wrong is None:
        return "none is called so"
    interval = f" [{100 * share.interval[0]:.0f}, {100 * share.interval[1]:.0f}]" if share.interval else ""
    return f"{100 * share.wrong:.0f}{interval}"


@contextmanager
def opened(output: Path | None) -> Iterator[TextIO]:
    """Standard output as UTF-8, or a file that is replaced only when the block ends without an exception.

    Raises UsageError when the file cannot be written.
    """
    if output is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")
        yield sys.stdout
        return
    check_output(output)
    if output.exists() and not output.is_file():  # /dev/null or a named pipe: nothing to replace
        with output.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        return
    target = Path(os.path.realpath(output))
    with replaced(target) as part:
        try:
            stream = part.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise UsageError(f"{output}: cannot write there ({error.strerror})") from None
        with stream:
            yield stream


def check_output(output: Path) -> None:
    """Raises UsageError for an output that is a folder or lies in none."""
    if output.is_dir():
        raise UsageError(f"{output}: a folder; name the file to write, such as {output / 'results.json'}")
    if not output.absolute().parent.is_dir():
        raise UsageError(f"{output}: its folder does not exist; make it first")


def _visible(text: str) -> str:
    """Text with control characters (a newline or a terminal's escape sequence in a file name) written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
