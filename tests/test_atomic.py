"""Files that are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tristream.atomic import replaced, write_text


@pytest.mark.parametrize("durable", [False, True])
def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "deep" / "file.txt"
    write_text(path, "old\n")
    with replaced(path, durable=durable) as part:
        part.write_text("new")
        assert path.read_text() == "old\n"
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def interrupted() -> None:
        with replaced(path) as part:
            part.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
