"""Tests downloads from a local server: resuming, restarting, refusing, no partial files."""

import gzip
import hashlib
import io
import json
import shutil
import socketserver
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from nitido.data import DATASETS, DataError, Dataset, Download, Split, fetch, fetch_dataset
from nitido.data.download import SOURCE_FILE

CONTENT = np.random.default_rng(0).bytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
DROP = 20 * 65536  # whole chunks: what came after the last whole chunk is asked for again


@dataclass
class Server:
    """Content and behavior of the server, and the requests it received."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=lambda: {"/file.bin": CONTENT})
    ranges: bool = True
    drops: list[int] = field(default_factory=list)  # how many bytes each of the next replies sends before it breaks
    asked: list[str | None] = field(default_factory=list)  # the Range header of each request


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            server.asked.append(wanted)
            content = server.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and server.ranges else 0
            if wanted and server.ranges and start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            if wanted and server.ranges:
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            sent = server.drops.pop(0) if server.drops else len(content)
            self.wfile.write(content[start : start + sent])
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(state)) as http:
        state.url = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield state
        http.shutdown()
        thread.join()


def test_a_download_is_whole_and_verified(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.bin"
    assert fetch(f"{server.url}/file.bin", target, SHA256) == SHA256
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["file.bin"]


def test_an_interrupted_download_resumes_where_it_stopped(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1_000_000])
    fetch(f"{server.url}/file.bin", target, SHA256)
    assert target.read_bytes() == CONTENT
    assert server.asked == ["bytes=1000000-"]


def test_a_part_that_is_complete_already_only_needs_its_name(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    fetch(f"{server.url}/file.bin", tmp_path / "file.bin", SHA256)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_started_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(CONTENT + b"more")
    fetch(f"{server.url}/file.bin", tmp_path / "file.bin", SHA256)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:1_000_000])
    fetch(f"{server.url}/file.bin", tmp_path / "file.bin", SHA256)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_without_a_checksum_an_old_part_is_not_trusted(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(b"of another version")
    assert fetch(f"{server.url}/file.bin", tmp_path / "file.bin") == SHA256
    assert server.asked == [None]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_dropped_connection_is_resumed(server: Server, tmp_path: Path, ranges: bool) -> None:
    server.ranges = ranges
    server.drops = [DROP]
    fetch(f"{server.url}/file.bin", tmp_path / "file.bin", SHA256)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={DROP}-"]


def test_a_server_that_always_drops_leaves_only_the_part(server: Server, tmp_path: Path) -> None:
    server.drops = [DROP, 0]
    with pytest.raises(DataError, match=f"the connection was lost after {DROP} bytes: run the same command to resume"):
        fetch(f"{server.url}/file.bin", tmp_path / "file.bin", SHA256)
    assert [path.name for path in tmp_path.iterdir()] == ["file.bin.part"]
    fetch(f"{server.url}/file.bin", tmp_path / "file.bin", SHA256)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.asked[-1] == f"bytes={DROP}-"


@pytest.mark.parametrize("begun", [b"", b"bytes of something else"], ids=["served", "continued"])
def test_a_wrong_checksum_is_refused_and_removed(server: Server, tmp_path: Path, begun: bytes) -> None:
    expected = SHA256
    if begun:
        (tmp_path / "file.bin.part").write_bytes(begun)
    else:
        expected = "0" * 64
    with pytest.raises(DataError, match=f"the download was removed, because its sha256 is .* instead of {expected}"):
        fetch(f"{server.url}/file.bin", tmp_path / "file.bin", expected)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_verified_not_downloaded(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(CONTENT)
    fetch(f"{server.url}/file.bin", tmp_path / "file.bin", SHA256)
    assert server.asked == []
    (tmp_path / "file.bin").write_bytes(CONTENT[:-1])
    with pytest.raises(DataError, match="was removed"):
        fetch(f"{server.url}/file.bin", tmp_path / "file.bin", SHA256)
    assert not (tmp_path / "file.bin").exists()


def test_errors_are_one_line(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the server answers 404 Not Found") as missing:
        fetch(f"{server.url}/nothing", tmp_path / "file.bin", SHA256)
    with pytest.raises(DataError, match=r"cannot fetch http://127\.0\.0\.1:1/x: no connection") as down:
        fetch("http://127.0.0.1:1/x", tmp_path / "file.bin", SHA256)
    assert "\n" not in str(missing.value) + str(down.value)
    assert list(tmp_path.iterdir()) == []


def _png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


IMAGES = {f"{n}.png": _png(n) for n in range(3)}


def _tar(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("set/images/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return buffer.getvalue()


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


ARCHIVE = _tar(
    {f"set/images/{name}": content for name, content in IMAGES.items()}
    | {
        "set/images/Thumbs.db": b"not an image",
        "set/images/._0.png": b"a shadow of another system",
        "set/other/9.png": _png(9),
        "set/images/../../evil.png": _png(8),
        "/set/images/absolute.png": _png(7),
    }
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


def _add(monkeypatch: pytest.MonkeyPatch, name: str, *downloads: Download, splits: tuple[Split, ...] = ()) -> None:
    count = sum(download.count for download in downloads)
    entry = Dataset(name, "A set", count, "free", splits=splits, downloads=downloads)
    monkeypatch.setitem(DATASETS, name, entry)


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_dataset_holds_the_wanted_images_and_nothing_else(
    server: Server, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/set.tgz"] = ARCHIVE
    _add(monkeypatch, "mine", Download(f"{server.url}/set.tgz", "tar", "set/images", 3))
    fetched = fetch_dataset("mine")
    assert fetched.folder == root / "mine"
    assert _files(root.parent) == {f"data/mine/{name}" for name in [*IMAGES, SOURCE_FILE]}
    assert {name: (root / "mine" / name).read_bytes() for name in IMAGES} == IMAGES
    (source,) = fetched.sources
    assert (source.sha256, source.trust) == (hashlib.sha256(ARCHIVE).hexdigest(), "first use")
    record = json.loads((root / "mine" / SOURCE_FILE).read_text())
    assert record["archives"][0]["sha256"] == source.sha256
    assert record["terms"] == "free"


def test_a_complete_dataset_is_not_fetched_again(server: Server, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files["/set.tgz"] = ARCHIVE
    _add(monkeypatch, "mine", Download(f"{server.url}/set.tgz", "tar", "set/images", 3))
    fetch_dataset("mine")
    requests = len(server.asked)
    assert fetch_dataset("mine").sources == ()
    assert len(server.asked) == requests


def test_splits_get_their_own_folders(server: Server, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files["/train.zip"] = train = _zip({"T/0.png": IMAGES["0.png"], "T/1.png": IMAGES["1.png"]})
    server.files["/valid.zip"] = _zip({"V/2.png": IMAGES["2.png"], "../V/2.png": b"outside"})
    _add(
        monkeypatch,
        "mine",
        Download(f"{server.url}/train.zip", "zip", "T", 2, "train", hashlib.sha256(train).hexdigest()),
        Download(f"{server.url}/valid.zip", "zip", "V", 1, "validation"),
        splits=(Split("train", 2), Split("validation", 1)),
    )
    fetched = fetch_dataset("mine")
    assert _files(root / "mine") == {"train/0.png", "train/1.png", "validation/2.png", SOURCE_FILE}
    assert [source.trust for source in fetched.sources] == ["catalog", "first use"]


def test_what_was_seen_at_first_use_is_demanded_later(
    server: Server, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/set.tgz"] = ARCHIVE
    _add(monkeypatch, "mine", Download(f"{server.url}/set.tgz", "tar", "set/images", 3))
    fetch_dataset("mine")
    for name in IMAGES:
        (root / "mine" / name).unlink()
    server.files["/set.tgz"] = _tar({f"set/images/{name}": _png(99) for name in IMAGES})
    with pytest.raises(DataError, match="the download was removed"):
        fetch_dataset("mine")
    assert _files(root) == {f"mine/{SOURCE_FILE}"}
    server.files["/set.tgz"] = ARCHIVE
    (source,) = fetch_dataset("mine").sources
    assert source.trust == "recorded"
    assert {name: (root / "mine" / name).read_bytes() for name in IMAGES} == IMAGES


def test_two_datasets_from_one_archive_download_it_once(
    server: Server, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/set.tgz"] = ARCHIVE
    _add(monkeypatch, "mine", Download(f"{server.url}/set.tgz", "tar", "set/images", 3))
    _add(monkeypatch, "other", Download(f"{server.url}/set.tgz", "tar", "set/other", 1))
    fetch_dataset("mine")
    (source,) = fetch_dataset("other").sources
    assert source.trust == "recorded"
    assert len(server.asked) == 1
    assert _files(root) == {f"mine/{name}" for name in [*IMAGES, SOURCE_FILE]} | {
        "other/9.png",
        f"other/{SOURCE_FILE}",
    }


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        (ARCHIVE[: len(ARCHIVE) // 2], "the archive was damaged and removed"),
        (b"<html>moved</html>", "the archive was damaged and removed"),
        (_tar({"set/images/0.png": IMAGES["0.png"]}), "contains 1 images instead of 3"),
    ],
    ids=["cut short", "a web page", "an image too few"],
)
def test_a_bad_archive_leaves_nothing(
    server: Server, root: Path, monkeypatch: pytest.MonkeyPatch, archive: bytes, message: str
) -> None:
    server.files["/set.tgz"] = archive
    _add(monkeypatch, "mine", Download(f"{server.url}/set.tgz", "tar", "set/images", 3))
    with pytest.raises(DataError, match=message):
        fetch_dataset("mine")
    assert _files(root) == set()
    assert not (root / "mine").exists()


def test_files_of_the_user_are_never_replaced(server: Server, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files["/set.tgz"] = ARCHIVE
    _add(monkeypatch, "mine", Download(f"{server.url}/set.tgz", "tar", "set/images", 3))
    (root / "mine").mkdir(parents=True)
    (root / "mine" / "holiday.png").write_bytes(IMAGES["0.png"])
    with pytest.raises(DataError, match="contains other files than the complete dataset: move it away"):
        fetch_dataset("mine")
    assert _files(root) == {"mine/holiday.png"}
    assert server.asked == []


def test_datasets_without_an_address_say_where_to_get_them(root: Path) -> None:
    with pytest.raises(DataError, match=r"ScSR\.rar.*copy the images to .*t91"):
        fetch_dataset("t91")
    with pytest.raises(DataError, match="did you mean 'set14'"):
        fetch_dataset("set41")


def test_samples_are_always_there(root: Path) -> None:
    assert (fetch_dataset("samples").folder / "kodak04_face.webp").is_file()


def _encrypted() -> bytes:
    """A zip whose members claim to be encrypted: bit 0 of the flags in both headers."""
    content = bytearray(_zip({f"set/images/{name}": content for name, content in IMAGES.items()}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(signature)
        while place >= 0:
            content[place + offset] |= 1
            place = content.find(signature, place + 4)
    return bytes(content)


def _unknown_method() -> bytes:
    content = bytearray(_zip({f"set/images/{name}": content for name, content in IMAGES.items()}))
    for signature, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        place = content.find(signature)
        while place >= 0:
            content[place + offset] = 77
            place = content.find(signature, place + 4)
    return bytes(content)


def _bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("set/images/0.png", IMAGES["0.png"] + bytes(200_000_000))
    return buffer.getvalue()


def _tar_bomb() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        member = tarfile.TarInfo("elsewhere/0.bin")
        member.size = 200_000_000
        archive.addfile(member, io.BytesIO(bytes(member.size)))
    return buffer.getvalue()


def _tar_description(kind: bytes) -> bytes:
    """A tar whose first member claims to describe the next one in 64 MB, which are there."""
    member = tarfile.TarInfo("set/images/0.png")
    member.type, member.size = kind, 64_000_000
    return gzip.compress(member.tobuf(tarfile.GNU_FORMAT) + bytes(member.size) + bytes(1024), 1)


def _twice() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for n in (0, 1):
            member = tarfile.TarInfo("set/images/0.png")
            member.size = len(_png(n))
            archive.addfile(member, io.BytesIO(_png(n)))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "archive", "message"),
    [
        ("zip", _encrypted, "is encrypted"),
        ("zip", _unknown_method, "compression"),
        ("zip", lambda: _zip({"set/images/é.png": _png(0)}).replace("é".encode(), b"\xff\xfe"), "codec can't decode"),
        ("zip", _bomb, "unpacks to more than"),
        ("tar", _tar_bomb, "unpacks to more than"),
        *(("tar", partial(_tar_description, kind), "claims 64 MB for the names") for kind in (b"x", b"g", b"X")),
        *(("tar", partial(_tar_description, kind), "claims 64 MB for the names") for kind in (b"L", b"K")),
        ("tar", partial(_tar_description, tarfile.GNUTYPE_SPARSE), "the sparse file"),
        ("tar", _twice, r"it contains 0\.png twice"),
        ("tar", lambda: _tar({"set/images/0.png": b"no image"}), r"0\.png: not a PNG"),
        ("zip", lambda: _zip({"set/images/a\x1b[2J.png": _png(0)}), "contains 0 images instead of 1"),
        ("tar", lambda: bytes(10_000), "contains 0 images instead of 1"),
    ],
)
def test_a_hostile_archive_is_one_line_and_leaves_nothing(
    server: Server, root: Path, monkeypatch: pytest.MonkeyPatch, kind: str, archive: Callable[[], bytes], message: str
) -> None:
    server.files["/set"] = archive()
    _add(monkeypatch, "mine", Download(f"{server.url}/set", "zip" if kind == "zip" else "tar", "set/images", 1))
    with pytest.raises(DataError, match=message) as refused:
        fetch_dataset("mine")
    assert "\n" not in str(refused.value)
    assert _files(root) == set()


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n", "cannot fetch"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://\xff\xfe/\r\nContent-Length: 0\r\n\r\n", "cannot fetch"),
        (b"HTTP/1.1 302 Found\r\nLocation: ftp://host/x\r\nContent-Length: 0\r\n\r\n", "cannot fetch"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://:99999/\r\nContent-Length: 0\r\n\r\n", "cannot fetch"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nabc", "Content-Length is not a number: 'many'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc", "Content-Length is not a number: '-3'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 7\r\n\r\nabc", "cannot fetch"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900000000000\r\n\r\nabc", "sends more than 1 MB"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + bytes(1_100_000), "sends more than 1 MB"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", "cannot fetch"),
        (b"nonsense\r\n\r\n", "cannot fetch"),
        (b"", "cannot fetch"),
    ],
)
def test_a_broken_reply_is_one_line(tmp_path: Path, reply: bytes, message: str) -> None:
    class Raw(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            self.request.sendall(reply)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Raw) as raw:
        thread = threading.Thread(target=raw.serve_forever, args=(0.01,))
        thread.start()
        try:
            with pytest.raises(DataError, match=message) as refused:
                fetch(f"http://127.0.0.1:{raw.server_address[1]}/file.bin", tmp_path / "file.bin", largest=1_000_000)
        finally:
            raw.shutdown()
            thread.join()
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "file.bin").exists()


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "br", "nonsense"])
def test_an_archive_that_is_called_encoded_arrives_as_it_is(tmp_path: Path, encoding: str) -> None:
    class Raw(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(ARCHIVE)}\r\nContent-Encoding: {encoding}\r\n\r\n"
            self.request.sendall(head.encode() + ARCHIVE)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Raw) as raw:
        thread = threading.Thread(target=raw.serve_forever, args=(0.01,))
        thread.start()
        try:
            fetch(f"http://127.0.0.1:{raw.server_address[1]}/set.tgz", tmp_path / "set.tgz")
        finally:
            raw.shutdown()
            thread.join()
    assert (tmp_path / "set.tgz").read_bytes() == ARCHIVE


def test_a_download_leaves_room_on_the_disk(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**26 + 1_000_000))
    with pytest.raises(DataError, match="3 MB are needed, but only 68 MB of the disk are free"):
        fetch(f"{server.url}/file.bin", tmp_path / "file.bin", SHA256)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"archives": 3}', b"\xff\xfe"])
def test_a_damaged_record_of_a_download_is_one_line(
    server: Server, root: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    server.files["/set.tgz"] = ARCHIVE
    _add(monkeypatch, "mine", Download(f"{server.url}/set.tgz", "tar", "set/images", 3))
    (root / "mine").mkdir(parents=True)
    (root / "mine" / SOURCE_FILE).write_bytes(content)
    with pytest.raises(DataError, match=r"SOURCE\.json is .*remove it and fetch again"):
        fetch_dataset("mine")
