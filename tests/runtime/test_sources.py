"""Arguments become sources: what is taken, in which order, and what is left aside."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tristream.errors import ImageError, UsageError
from tristream.runtime import sources
from tristream.runtime.sources import Source, collect, rgb, sha256

Picture = Callable[..., Path]


def names(*arguments: str) -> list[str | None]:
    return [source.name for source in collect(arguments).sources]


def test_a_folder_gives_its_pictures_in_a_fixed_order_and_counts_the_rest(
    picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("in/b.PNG", "in/a.jpg", "in/sub/c.webp", "in/.hidden.png", "in/.cache/d.png", "in/z.png"):
        picture(name)
    (tmp_path / "in/notes.txt").write_text("text")
    monkeypatch.chdir(tmp_path)
    found = collect(["in"])
    assert [s.name for s in found.sources] == ["in/a.jpg", "in/b.PNG", "in/z.png", "in/sub/c.webp"]
    assert found.skipped == 3  # the text, the hidden picture and the hidden folder, which is not entered


def test_a_named_file_is_always_tried(picture: Picture) -> None:
    path = picture("in/picture.data")
    assert names(str(path)) == [str(path)]
    assert collect([str(path.parent)]).skipped == 1


def test_a_file_named_twice_is_scored_once_at_its_first_place(picture: Picture, tmp_path: Path) -> None:
    a, b = picture("in/a.png"), picture("in/b.png")
    assert names(str(b), str(tmp_path / "in"), str(a), f"{tmp_path}/in/./b.png") == [str(b), str(a)]


def test_arguments_keep_their_order(picture: Picture) -> None:
    paths = [str(picture(name)) for name in ("c.png", "a.png", "b.png")]
    assert names(*paths) == paths


def test_patterns_are_expanded_unless_a_file_bears_the_name(picture: Picture, tmp_path: Path) -> None:
    literal = picture("[a].png")
    picture("a.png")
    deep = picture("x/y/deep.png")
    assert names(str(literal)) == [str(literal)]
    assert names(f"{tmp_path}/**/d*.png") == [str(deep)]
    assert names(f"{tmp_path}/?.png") == [f"{tmp_path}/a.png"]


@pytest.mark.parametrize(
    ("argument", "words"), [("nowhere/*.jpg", "no file matches"), ("no.jpg", "no such file"), ("", "empty path")]
)
def test_what_does_not_exist_is_a_source_that_fails_when_it_is_read(argument: str, words: str) -> None:
    (source,) = collect([argument]).sources
    with pytest.raises(ImageError, match=words):
        source.read()


def test_links_out_of_a_folder_are_not_followed(picture: Picture, tmp_path: Path) -> None:
    outside, inside = picture("outside/secret.png"), picture("in/a.png")
    (tmp_path / "in/link.png").symlink_to(outside)
    (tmp_path / "in/b.png").symlink_to(inside)
    (tmp_path / "in/folder").symlink_to(outside.parent)
    (tmp_path / "in/loop").symlink_to(tmp_path / "in")
    found = collect([str(tmp_path / "in")])
    assert [s.name for s in found.sources] == [str(inside)]
    assert found.skipped == 3  # the linked file and the two linked folders
    assert names(str(tmp_path / "in/link.png")) == [str(tmp_path / "in/link.png")]  # named: the user's own choice


def test_a_path_that_no_file_can_have_is_a_failure() -> None:
    for name in ("a\0b.jpg", "\ud800.jpg"):
        with pytest.raises(ImageError, match="cannot be opened"):
            Source.of(name).read()
        assert sha256(Path(name)) is None


@pytest.mark.skipif(os.name == "nt", reason="another drive is planted with a path of POSIX")
def test_a_link_to_another_drive_leads_out_of_the_folder(
    picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: a real path that has no part in common with the folder, on which os.path.commonpath raises."""
    picture("in/a.png")
    real = os.path.realpath
    monkeypatch.setattr(sources.os.path, "realpath", lambda path: "D:a.png" if path.endswith(".png") else real(path))
    found = collect([str(tmp_path / "in")])
    assert (found.sources, found.skipped) == ([], 1)


def test_pipes_in_folders_are_not_opened(picture: Picture, tmp_path: Path) -> None:
    picture("in/a.png")
    os.mkfifo(tmp_path / "in/pipe.png")
    found = collect([str(tmp_path / "in")])
    assert (len(found.sources), found.skipped) == (1, 1)


def test_a_dangling_link_in_a_folder_is_a_failure_not_a_silence(picture: Picture, tmp_path: Path) -> None:
    picture("in/a.png")
    (tmp_path / "in/b.png").symlink_to(tmp_path / "in/gone.png")
    source = collect([str(tmp_path / "in")]).sources[1]
    with pytest.raises(ImageError, match="no such file"):
        source.read()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="access rights do not bind this user")
def test_a_folder_that_cannot_be_listed_is_a_failure(picture: Picture, tmp_path: Path) -> None:
    locked = picture("in/locked/a.png").parent
    locked.chmod(0)
    try:
        (source,) = collect([str(tmp_path / "in")]).sources
    finally:
        locked.chmod(0o700)
    with pytest.raises(ImageError, match="cannot list"):
        source.read()


def test_an_unlistable_folder_is_reported(picture: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as above for a user whom access rights do not bind."""
    picture("in/a.png")
    walk = os.walk

    def failing(folder: str, onerror: Callable[[OSError], None]) -> object:
        yield from walk(folder)
        onerror(PermissionError(13, "Permission denied", f"{folder}/locked"))

    monkeypatch.setattr(sources.os, "walk", failing)
    good, bad = collect([str(tmp_path / "in")]).sources
    assert good.name == f"{tmp_path}/in/a.png"
    with pytest.raises(ImageError, match="locked: cannot list this folder"):
        bad.read()


def test_folders_without_pictures_are_named(picture: Picture, tmp_path: Path) -> None:
    picture("full/a.png")
    (tmp_path / "empty").mkdir()
    assert collect([str(tmp_path / "full"), str(tmp_path / "empty")]).empty_folders == [str(tmp_path / "empty")]


def test_a_pipe_is_one_source_of_bytes(picture: Picture) -> None:
    data = picture("a.png").read_bytes()
    (source,) = collect(["-", "-"], io.BytesIO(data)).sources
    assert source.name == "-"
    assert source.read() == data


def test_usage_errors() -> None:
    with pytest.raises(UsageError, match="at least one"):
        collect([])
    with pytest.raises(UsageError, match="nothing is piped in"):
        collect(["-"], None)


def test_an_endless_file_ends_as_a_failure(picture: Picture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_BYTES", 10)
    with pytest.raises(ImageError, match="larger than"):
        Source.of(picture("a.png")).read()
    with pytest.raises(ImageError, match="larger than"):
        collect(["-"], io.BytesIO(b"x" * 11)).sources[0].read()


def test_pictures_in_memory_take_the_same_way_as_files() -> None:
    turned = Image.new("RGBA", (20, 10), (255, 0, 0, 0))
    turned.getexif()[274] = 6
    assert rgb(turned, "it").shape == (20, 10, 3)
    assert (rgb(turned, "it") == 255).all()  # transparent: flattened on white
    assert (rgb(Image.new("CMYK", (4, 4), (0, 0, 0, 0)), "it") == 255).all()
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    assert (rgb(Image.fromarray(pixels), "it") == pixels).all()
    assert rgb(pixels, "it") is pixels
    assert sha256(pixels) is None


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_arrays_of_another_kind_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ImageError, match=r"expected uint8\[H, W, 3\]"):
        rgb(wrong, "it")


def test_a_pillow_mode_without_a_file_form_is_refused() -> None:
    with pytest.raises(ImageError, match="convert it to RGB"):
        rgb(Image.new("HSV", (4, 4)), "it")


def test_only_pictures_are_accepted() -> None:
    with pytest.raises(TypeError, match="got int"):
        Source.of(3)  # type: ignore[arg-type]
