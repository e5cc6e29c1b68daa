"""The error tree: what tristream raises on purpose is a TristreamError with a message that a person can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class TristreamError(Exception):
    """Base of all errors that tristream raises on purpose."""


class ConfigError(TristreamError):
    """A configuration key or value is not what was expected."""


class ImageError(TristreamError):
    """A file cannot be decoded as a picture; the message names the file, what is wrong and what to do."""


class ManifestError(TristreamError):
    """A manifest, a data layout or a split is missing something or contradicts itself."""


class CheckpointError(TristreamError):
    """A checkpoint cannot be read, is of another format version, or does not fit the detector."""


class UsageError(TristreamError):
    """The caller asked for something that cannot be answered, such as a false-alarm rate below 1/(n+1)."""


class UndefinedMetricError(TristreamError):
    """A metric has no value for these inputs, such as an AUROC with only one class present."""


class MissingExtraError(TristreamError):
    """An optional dependency is not installed; the message is the command that installs it."""

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(f"{purpose} needs the '{extra}' extra: pip install 'tristream[{extra}]'")
        self.extra = extra


@contextmanager
def needs_extra(purpose: str, extra: str) -> Iterator[None]:
    """Around imports: a library that is missing becomes a MissingExtraError for this purpose.

    Also where a module inside asks for a smaller extra, lest a user installs one after the other.
    """
    try:
        yield
    except (ModuleNotFoundError, MissingExtraError) as error:
        if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("tristream"):
            raise
        raise MissingExtraError(purpose, extra) from error
