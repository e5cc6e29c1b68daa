"""Fetching from a local server: resumed, checked, bounded; archives that want out stay in."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request

import numpy as np
import pytest

from tests.data.server import Server, serving
from tristream.data import hub
from tristream.data.download import DownloadError, _Redirect, fetch
from tristream.data.fetching import RECORD, jobs_of, run
from tristream.data.hub import HubFile, chosen, fetch_file, list_files
from tristream.data.readers.layout import Hub, Layout, WebFile
from tristream.data.readers.remote import RemoteFile
from tristream.data.unpack import unpack
from tristream.errors import UsageError

DATA = np.random.default_rng(0).bytes(3_000_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
LIMIT = 10_000_000


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with serving() as server:
        server.files["/a.bin"] = DATA
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        yield server


def _archive(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def test_a_file_is_fetched_once_and_checked(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "deep/a.bin"
    assert fetch(f"{server.address}/a.bin", target, max_bytes=LIMIT, sha256=SHA256, size=len(DATA))
    assert target.read_bytes() == DATA
    assert not fetch(f"{server.address}/a.bin", target, max_bytes=LIMIT, sha256=SHA256, size=len(DATA))
    assert len(server.asked) == 1
    assert [file.name for file in target.parent.iterdir()] == ["a.bin"]


def test_an_interrupted_transfer_goes_on_where_it_broke_off(server: Server, tmp_path: Path) -> None:
    server.cut_after["/a.bin"] = 1_200_000
    fetch(f"{server.address}/a.bin", tmp_path / "a.bin", max_bytes=LIMIT, sha256=SHA256, pause_s=0)
    assert (tmp_path / "a.bin").read_bytes() == DATA
    assert server.asked_ranges("/a.bin") == ["", "bytes=1200000-"]


def test_a_later_run_goes_on_unless_the_file_has_changed(server: Server, tmp_path: Path) -> None:
    target, partial = tmp_path / "a.bin", tmp_path / "a.bin.partial"
    etag = f'"{hashlib.md5(DATA).hexdigest()}"'
    partial.write_bytes(DATA[:500_000])
    (tmp_path / "a.bin.partial.version").write_text(etag)
    fetch(f"{server.address}/a.bin", target, max_bytes=LIMIT, sha256=SHA256)
    assert server.asked_ranges("/a.bin") == ["bytes=500000-"]
    target.unlink()
    partial.write_bytes(b"of an older version")
    (tmp_path / "a.bin.partial.version").write_text('"older"')
    fetch(f"{server.address}/a.bin", target, max_bytes=LIMIT, sha256=SHA256)
    assert target.read_bytes() == DATA


def test_a_server_without_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.cut_after["/a.bin"] = 1_200_000
    fetch(f"{server.address}/a.bin", tmp_path / "a.bin", max_bytes=LIMIT, sha256=SHA256, pause_s=0)
    assert (tmp_path / "a.bin").read_bytes() == DATA


def test_a_wrong_hash_leaves_nothing_behind(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="expected sha256 " + "0" * 64):
        fetch(f"{server.address}/a.bin", tmp_path / "a.bin", max_bytes=LIMIT, sha256="0" * 64)
    with pytest.raises(DownloadError, match="expected 7 bytes, got 3,000,000"):
        fetch(f"{server.address}/a.bin", tmp_path / "a.bin", max_bytes=LIMIT, size=7)
    assert not (tmp_path / "a.bin").exists()
    assert not (tmp_path / "a.bin.partial").exists()


def test_a_file_larger_than_the_limit_is_not_fetched(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="more than the limit of 1,000,000; raise it with --max-gb"):
        fetch(f"{server.address}/a.bin", tmp_path / "a.bin", max_bytes=1_000_000)
    assert not (tmp_path / "a.bin.partial").exists()


def test_a_server_that_recovers_is_asked_again_and_one_that_does_not_is_an_error(
    server: Server, tmp_path: Path
) -> None:
    server.broken["/a.bin"] = 2
    fetch(f"{server.address}/a.bin", tmp_path / "a.bin", max_bytes=LIMIT, pause_s=0)
    server.broken["/a.bin"] = 99
    with pytest.raises(DownloadError, match=r"broke off 5 times \(503 .*\); run the same command"):
        fetch(f"{server.address}/a.bin", tmp_path / "b.bin", max_bytes=LIMIT, pause_s=0)
    with pytest.raises(DownloadError, match="the server says 404"):
        fetch(f"{server.address}/nothing", tmp_path / "c.bin", max_bytes=LIMIT)
    assert len(server.asked_ranges("/nothing")) == 1, "what is not there is not asked for again"


def test_a_redirect_to_a_file_of_this_machine_is_refused(server: Server, tmp_path: Path) -> None:
    server.redirects["/away"] = "file:///etc/passwd"
    with pytest.raises((DownloadError, OSError)):
        fetch(f"{server.address}/away", tmp_path / "x", max_bytes=LIMIT, pause_s=0)
    with pytest.raises(DownloadError, match="expected an address that starts with http"):
        fetch("file:///etc/passwd", tmp_path / "x", max_bytes=LIMIT)
    assert not (tmp_path / "x").exists()


def test_a_token_is_not_handed_to_another_host(server: Server, tmp_path: Path) -> None:
    with serving() as other:
        other.files["/a.bin"] = DATA
        server.redirects["/gated"] = f"{other.address}/a.bin"
        fetch(f"{server.address}/gated", tmp_path / "a", max_bytes=LIMIT, headers={"Authorization": "Bearer secret"})
        assert server.asked[0][1]["authorization"] == "Bearer secret"
        assert "authorization" not in other.asked[0][1]


def test_a_token_does_not_follow_a_redirect_to_http() -> None:
    request = Request("https://host/a", headers={"Authorization": "Bearer secret"})
    for address, kept in {"https://host/b": True, "http://host/b": False, "https://other/b": False}.items():
        following = _Redirect().redirect_request(request, None, 302, "Found", {}, address)
        assert following.has_header("Authorization") == kept, address


def test_the_next_page_of_a_list_has_to_be_as_safe_as_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://host")
    answers = iter([({"sha": "0" * 40}, ""), ([], "http://host/next")])
    monkeypatch.setattr(hub, "fetch_json", lambda address, headers: next(answers))
    with pytest.raises(DownloadError, match="goes on at another server, http://host/next"):
        list_files("me/set")


def test_the_hub_lists_all_pages_at_one_commit(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", "mine")
    server.hub("me/set", {f"data/{n}.parquet": bytes([n]) for n in range(6)} | {"README.md": b"# Set"})
    commit, files = list_files("me/set")
    assert [file.path for file in files] == [*(f"data/{n}.parquet" for n in range(6)), "README.md"]
    assert commit in files[0].address
    assert all(headers["authorization"] == "Bearer mine" for _, headers in server.asked)
    assert [file.path for file in chosen(files, ["*.md", "data/3*"])] == ["data/3.parquet", "README.md"]
    with pytest.raises(DownloadError, match=r"no file fits \*\.zip; there are 7, such as data/0\.parquet"):
        chosen(files, ["*.zip"])
    assert fetch_file(files[2], tmp_path, LIMIT).read_bytes() == b"\2"
    assert fetch_file(files[6], tmp_path, LIMIT).read_bytes() == b"# Set"
    server.files[f"/datasets/me/set/resolve/{commit}/README.md"] = b"# Sat"
    with pytest.raises(DownloadError, match="is not the file that the Hub lists"):
        fetch_file(files[6], tmp_path / "again", LIMIT)
    assert not (tmp_path / "again/README.md").exists()
    with pytest.raises(DownloadError, match="expected OWNER/NAME"):
        list_files("../etc")


def test_a_path_from_the_hub_that_leaves_the_folder_is_refused(server: Server, tmp_path: Path) -> None:
    for path in ("../evil", "/etc/evil", "C:\\evil"):
        with pytest.raises(DownloadError, match="leaves the folder"):
            fetch_file(HubFile(path, 1, None, f"{server.address}/a.bin"), tmp_path / "into", LIMIT)
    assert not server.asked


def test_parts_are_fetched_unpacked_and_not_fetched_again(server: Server, tmp_path: Path) -> None:
    parts = {
        f"images/part-{n:06d}.zip": _archive({f"{n}.png": DATA[:1000], f"part-{n:06d}.json": b"{}"}) for n in (1, 2, 3)
    }
    server.hub("me/db", {**parts, "metadata.parquet": b"table"})
    about = Layout("DB", (), "", "", hub=Hub("me/db", ("images/part-{part}.zip", "metadata.parquet"), unpack=True))
    jobs = jobs_of(about, None, "main", [], "1-2")
    assert [job.path for job in jobs] == ["images/part-000001.zip", "images/part-000002.zip", "metadata.parquet"]
    fetched = run(jobs, tmp_path, LIMIT)
    assert fetched.unpacked == 4
    assert (tmp_path / "images/part-000002/2.png").read_bytes() == DATA[:1000]
    assert not (tmp_path / "images/part-000002.zip").exists()
    record = json.loads((tmp_path / RECORD).read_text())
    assert record["images/part-000001.zip"]["sha256"] == hashlib.sha256(parts["images/part-000001.zip"]).hexdigest()
    asked = len(server.asked)
    run(jobs, tmp_path, LIMIT)
    assert len(server.asked) == asked, "nothing is fetched twice"
    with pytest.raises(UsageError, match="expected numbers such as 1-10"):
        jobs_of(about, None, "main", [], "one")


def test_files_with_known_hashes_are_fetched_and_unpacked(server: Server, tmp_path: Path) -> None:
    archive = _archive({"val2017/000000000139.jpg": DATA[:99]})
    server.files |= {"/val2017.zip": archive, "/train2017.zip": b""}
    files = tuple(
        WebFile(
            f"{server.address}/{name}",
            len(server.files[f"/{name}"]),
            hashlib.sha256(server.files[f"/{name}"]).hexdigest(),
        )
        for name in ("val2017.zip", "train2017.zip")
    )
    about = Layout("COCO", (), "", "", files=files)
    assert [job.path for job in jobs_of(about, None, "main", [], "1")] == ["val2017.zip"]
    assert [job.path for job in jobs_of(about, None, "main", ["train*"], "1")] == ["train2017.zip"]
    with pytest.raises(UsageError, match=r"no file fits test\*; there are: val2017\.zip, train2017\.zip"):
        jobs_of(about, None, "main", ["test*"], "1")
    run(jobs_of(about, None, "main", [], "1"), tmp_path, LIMIT)
    assert (tmp_path / "val2017/000000000139.jpg").read_bytes() == DATA[:99]


@pytest.mark.parametrize("name", ["../evil.txt", "a/../../evil.txt", "/evil.txt", "C:/evil.txt", "..\\evil.txt"])
def test_an_archive_cannot_write_outside(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.zip").write_bytes(_archive({"good.txt": b"x", name: b"evil"}))
    with pytest.raises(DownloadError, match=r"leaves the folder .*; nothing was unpacked"):
        unpack(tmp_path / "a.zip", tmp_path / "into", LIMIT)
    assert not list((tmp_path / "into").iterdir())
    assert not (tmp_path / "evil.txt").exists()


def test_an_archive_cannot_follow_a_link_that_lies_there(tmp_path: Path) -> None:
    (tmp_path / "into").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "into/door").symlink_to(tmp_path / "outside")
    (tmp_path / "a.zip").write_bytes(_archive({"door/evil.txt": b"evil"}))
    with pytest.raises(DownloadError, match="is a link that leaves"):
        unpack(tmp_path / "a.zip", tmp_path / "into", LIMIT)
    assert not list((tmp_path / "outside").iterdir())


def test_an_archive_with_a_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DownloadError, match="holds a link"):
        unpack(tmp_path / "a.zip", tmp_path / "into", LIMIT)


def test_bombs_doubles_and_damage_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    file.write_bytes(_archive({"zeros": bytes(20_000_000)}))
    with pytest.raises(DownloadError, match="unpacks to 20,000,000 bytes, more than 10,000,000"):
        unpack(file, tmp_path / "into", LIMIT)
    with pytest.raises(DownloadError, match="200 times its size"):
        unpack(file, tmp_path / "into", 10**9)
    file.write_bytes(_archive({"a.txt": b"1", "b.txt": b"2"}).replace(b"b.txt", b"a.txt"))
    with pytest.raises(DownloadError, match=r"holds a\.txt twice"):
        unpack(file, tmp_path / "into", LIMIT)
    whole = _archive({"a.bin": DATA[:9000]}, zipfile.ZIP_STORED)
    file.write_bytes(whole.replace(DATA[500:510], b"0123456789"))
    with pytest.raises(DownloadError, match="damaged, or no zip archive"):
        unpack(file, tmp_path / "into", LIMIT)
    file.write_bytes(whole[:-30])
    with pytest.raises(DownloadError, match="damaged, or no zip archive"):
        unpack(file, tmp_path / "into", LIMIT)
    assert not [path for path in (tmp_path / "into").rglob("*") if not path.name.startswith(".")]


def test_a_remote_file_is_read_in_pieces_and_after_a_break(server: Server) -> None:
    remote = RemoteFile(HubFile("a.bin", len(DATA), None, f"{server.address}/a.bin"), pause_s=0)
    assert remote.read(10) + remote.read(5) == DATA[:15]
    assert remote.seek(-4, 2) == len(DATA) - 4
    assert (remote.read(100), remote.read(100)) == (DATA[-4:], b"")
    remote.seek(1000)
    server.cut_after["/a.bin"] = 100
    assert remote.read(500) == DATA[1000:1500]
    assert server.asked_ranges("/a.bin")[-1] == "bytes=1000-1499"
    server.ranges = False
    with pytest.raises(DownloadError, match="the server has no ranges; download it instead"):
        remote.read(1)
    with pytest.raises(DownloadError, match="the server says 404"):
        RemoteFile(HubFile("b.bin", 9, None, f"{server.address}/b.bin")).read(1)
