"""So-Fake-Set and So-Fake-OOD (Huang et al. 2025): pictures of social media; real, wholly synthetic, or tampered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from tristream.data.readers.huggingface import ShardReader
from tristream.data.readers.layout import Hub, Layout
from tristream.data.readers.shards import Extracted, Shard, shards
from tristream.errors import ManifestError

CLASSES = {"real": 0, "full_synthetic": 1, "tampered": 1}


class SoFakeReader(ShardReader):
    """By class name: the two editions of So-Fake-OOD number the three classes differently.

    A tampered picture is a photograph in part. Its generator is called tampered-<generator>, so that results stand
    apart, and the column `manipulation` says real, full_synthetic or tampered.
    """

    edition: str = Field("so-fake", description="name of the source, such as so-fake-ood; where it is not in the table")

    layout = Layout(
        title="So-Fake-Set and So-Fake-OOD",
        trees=(
            "ROOT\n├── data/{train,validation}-*.parquet     (So-Fake-Set)\n└── data/test-*.parquet     (So-Fake-OOD)",
        ),
        obtain="tristream data download sofake FOLDER (So-Fake-OOD); "
        "So-Fake-Set: --repository saberzl/So-Fake-Set (about 105 GB)",
        terms="Those on its card: research; the pictures belong to their authors on social media.",
        address="https://huggingface.co/datasets/saberzl/So-Fake-OOD",
        hub=Hub("saberzl/So-Fake-OOD", ("data/*.parquet", "README.md")),
        notes="So-Fake-OOD is for tests only. Report wholly synthetic pictures apart from tampered ones.",
    )

    @classmethod
    def matches(cls, root: Path) -> bool:
        """By the names of its classes, or its column of them, in the first table."""
        if not root.is_dir() or not (found := shards(root)):
            return False
        first = found[0]
        named = set(first.names("label") or ())
        return named == set(CLASSES) or (not named and root.resolve().name.lower().startswith(("so-fake", "sofake")))

    def row(self, shard: Shard, picture: Extracted) -> dict[str, Any]:
        """See `ShardReader.row`."""
        values = picture.values
        kind = str(values.get("label")).strip().lower()
        if kind not in CLASSES:
            raise ManifestError(
                f"{shard.file}: column label: expected {', '.join(CLASSES)}, found {values.get('label')!r}; "
                "numbers without names are not trusted, because editions number the classes differently"
            )
        made_by = str(values.get("generator") or "")
        generator = f"tampered-{made_by}" if kind == "tampered" and made_by else made_by or kind
        origin = str(values.get("source") or "")
        return {
            "label": CLASSES[kind],
            "generator": "" if kind == "real" else generator,
            "source": f"{self.edition}-{origin}" if origin else self.edition,
            "split": shard.split,
            "manipulation": kind,
            "original_name": str(values.get("filename") or picture.stored_name),
        }
