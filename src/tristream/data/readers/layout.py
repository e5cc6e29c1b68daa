"""What people need to know of a public data set: its tree, where it is obtained, under which terms."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hub:
    """Files of a data set on the Hugging Face Hub."""

    repository: str
    """owner/name"""
    patterns: tuple[str, ...] = ("*",)
    """which of its files, as for `fnmatch`; `{part}` stands for a number of six digits"""
    unpack: bool = False
    """whether its zip archives are unpacked where they lie"""


@dataclass(frozen=True)
class WebFile:
    """A zip archive with a known hash."""

    address: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Layout:
    """One public layout, for people."""

    title: str
    trees: tuple[str, ...]
    """the accepted trees, drawn"""
    obtain: str
    """where and how"""
    terms: str
    """licence or agreement, as its owners word it"""
    address: str = ""
    hub: Hub | None = None
    files: tuple[WebFile, ...] = ()
    """what `tristream data download` fetches; where there is neither, it prints `obtain`"""
    any_repository: bool = False
    """whether it is the form of many data sets on the Hub, one of which has to be named"""
    notes: str = ""

    @property
    def automatic(self) -> bool:
        """Whether it can be fetched without a form."""
        return self.hub is not None or self.any_repository or bool(self.files)
