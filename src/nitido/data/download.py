"""Fetch datasets from public addresses: resumable downloads, verified archives, folders that are whole or not there."""

import gzip
import hashlib
import json
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Literal
from uuid import uuid4

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from nitido.atomic import write_text
from nitido.data.catalog import DATASETS, DataError, Dataset, Download, dataset, pictures_in
from nitido.folders import data_root

if TYPE_CHECKING:
    import requests

SOURCE_FILE = "SOURCE.json"
"""The file beside a dataset's pictures that says where they came from."""

_CHUNK = 1 << 16
_TIMEOUT = (10.0, 60.0)  # seconds to connect, seconds without a byte


@dataclass(frozen=True)
class Source:
    """One downloaded archive and why its checksum is trusted.

    `trust` is "catalog" (the catalog states the checksum), "recorded" (an earlier download saw the same one) or
    "first use" (nobody stated it: whoever calls should show it).
    """

    url: str
    sha256: str
    trust: Literal["catalog", "recorded", "first use"]


@dataclass(frozen=True)
class Fetched:
    """Where a dataset lies now, and the archives that were downloaded for it (none when it was there already)."""

    folder: Path
    sources: tuple[Source, ...]


def fetch(url: str, target: Path, sha256: str | None = None) -> str:
    """Download `url` to `target` and return the SHA-256 of the file.

    The bytes go to `target` + ".part"; only a complete and verified file gets its name. A lost connection is taken
    up again if the server supports byte ranges, else the download starts again. The part that an interrupted call
    left is continued when `sha256` is known; otherwise nothing could tell whether both halves are of one file.
    Without `sha256` nothing is verified: compare the returned checksum with one you trust. A `target` that exists
    already is verified instead of downloaded. Progress is drawn on standard error when that is a terminal.

    Raises `DataError` if the address cannot be reached, the connection is lost, the disk is full, or the checksum is
    wrong; in the last case the file is removed.
    """
    part = target.with_name(target.name + ".part")
    try:
        if target.exists():
            candidate = target
        else:
            candidate = part
            target.parent.mkdir(parents=True, exist_ok=True)
            if sha256 is None:
                part.unlink(missing_ok=True)
            _download(url, part)
        found = _sha256(candidate)
        if sha256 is not None and found != sha256:
            candidate.unlink()
            raise DataError(f"{url}: refused and removed, its sha256 is {found} instead of {sha256}")
        if candidate != target:
            candidate.replace(target)
    except OSError as error:
        raise DataError(f"cannot write {target}: {error.strerror or error}") from error
    return found


def fetch_dataset(name: str) -> Fetched:
    """Download the dataset `name` into `$NITIDO_DATA/<name>/`, unless its pictures are there already.

    The folder appears only when all its pictures are in it. `SOURCE.json` beside them records the addresses and
    checksums; archives from the same address are verified against it later when the catalog states no checksum.

    Raises `DataError` for an unknown name, for a dataset without a public address (saying how to get it), for a
    folder that holds something else, and for every failed, wrong or broken download.
    """
    entry = dataset(name)
    folder = entry.folder()
    if entry.is_complete():
        return Fetched(folder, ())
    if not entry.downloads:
        raise DataError(
            f"dataset {name!r} has no address to fetch it from: {entry.by_hand}; put the pictures into {folder}"
        )
    _refuse_foreign_files(folder)
    recorded = _recorded_checksums()
    archives = [_fetch_archive(download, recorded) for download in entry.downloads]
    with _new_folder(folder) as draft:
        for download, (archive, _) in zip(entry.downloads, archives, strict=True):
            _extract(download, archive, draft / (download.split or ""))
        sources = tuple(source for _, source in archives)
        _write_source(draft / SOURCE_FILE, entry, sources)
    for download, (archive, _) in zip(entry.downloads, archives, strict=True):
        if not _needed_elsewhere(download.url):
            archive.unlink(missing_ok=True)
    return Fetched(folder, sources)


def _download(url: str, part: Path) -> None:
    """Bring `part` to the full length of what `url` serves; lost connections are taken up while bytes still come."""
    import requests

    with requests.Session() as session, _progress(part.stem) as (progress, task):
        while True:
            before = _size(part)
            try:
                complete = _continue_download(session, url, part, progress, task)
                reason = "the connection was lost"
            except requests.exceptions.RequestException as error:
                complete, reason = False, _reason(error)
            if complete:
                return
            if _size(part) <= before:
                so_far = f" after {before} bytes, run the same command again" if before else ""
                raise DataError(f"cannot fetch {url}: {reason}{so_far}")


def _continue_download(session: "requests.Session", url: str, part: Path, progress: Progress, task: TaskID) -> bool:
    """Ask for the bytes that `part` lacks and append them; true when the server says that these were all."""
    have = _size(part)
    # The length of a compressed reply says nothing about the file, so ask for the plain bytes.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with session.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        if response.status_code == 416 and response.headers.get("Content-Range") == f"bytes */{have}":
            return True
        if response.status_code == 416 and have:  # the server's file is shorter: `part` belongs to another one
            part.unlink()
            return _continue_download(session, url, part, progress, task)
        if not response.ok:
            raise DataError(f"cannot fetch {url}: the server answers {response.status_code} {response.reason}")
        resumed = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        start = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length is not None else None
        progress.update(task, total=total, completed=start)
        with part.open("ab" if resumed else "wb") as file:
            for chunk in response.iter_content(_CHUNK):
                file.write(chunk)
                progress.advance(task, len(chunk))
    return total is None or _size(part) == total


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reason(error: Exception) -> str:
    """The cause in one line: network libraries wrap it several times."""
    import requests

    if isinstance(error, requests.exceptions.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was lost"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not accepted"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "no connection (is the network up?)"
    return str(error).splitlines()[0]


@contextmanager
def _progress(label: str) -> Iterator[tuple[Progress, TaskID]]:
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield progress, progress.add_task(label, total=None)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch_archive(download: Download, recorded: dict[str, str]) -> tuple[Path, Source]:
    """The archive's path and its checksum, verified against the catalog or else against an earlier download."""
    archive = _archive_path(download.url)
    expected = download.sha256 or recorded.get(download.url)
    found = fetch(download.url, archive, expected)
    trust: Literal["catalog", "recorded", "first use"] = (
        "catalog" if download.sha256 else "recorded" if expected else "first use"
    )
    return archive, Source(download.url, found, trust)


def _archive_path(url: str) -> Path:
    return data_root() / ".downloads" / PurePosixPath(url).name


def _needed_elsewhere(url: str) -> bool:
    """Whether another dataset that is not there yet comes from the same archive."""
    users = [entry for entry in DATASETS.values() if any(download.url == url for download in entry.downloads)]
    return not all(entry.is_complete() for entry in users)


def _refuse_foreign_files(folder: Path) -> None:
    """A folder may be replaced when it holds nothing, or only the record of an earlier download."""
    if folder.exists() and {path.name for path in folder.iterdir()} - {SOURCE_FILE}:
        raise DataError(f"{folder} holds something else than the whole dataset: move it away and fetch again")


def _recorded_checksums() -> dict[str, str]:
    """The checksum of every archive that a `SOURCE.json` in the data folder names, by address."""
    recorded: dict[str, str] = {}
    for path in sorted(data_root().glob(f"*/{SOURCE_FILE}")):
        try:
            archives = json.loads(path.read_text(encoding="utf-8"))["archives"]
            recorded |= {archive["url"]: archive["sha256"] for archive in archives}
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is not a record of a download: remove it and fetch again") from error
    return recorded


def _write_source(path: Path, entry: Dataset, sources: tuple[Source, ...]) -> None:
    record = {
        "dataset": entry.name,
        "title": entry.title,
        "terms": entry.terms,
        "archives": [asdict(source) for source in sources],
    }
    write_text(path, json.dumps(record, indent=2, ensure_ascii=False) + "\n")


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder beside `folder` to fill; on success it becomes `folder`, on any error it is removed."""
    draft = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}.part")
    try:
        draft.mkdir(parents=True)
        yield draft
        (folder / SOURCE_FILE).unlink(missing_ok=True)
        if folder.exists():
            folder.rmdir()
        draft.replace(folder)
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _extract(download: Download, archive: Path, folder: Path) -> None:
    """Copy the pictures of the archive's wanted folder into `folder`; a broken archive is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    reader = _zip_members if download.kind == "zip" else _tar_members
    try:
        for name, source in reader(archive):
            path = PurePosixPath(name)
            # Only the last part of a member's name is used, and only from one folder: nothing can land elsewhere.
            if path.parent == PurePosixPath(download.members) and _is_plain(path.name):
                with (folder / path.name).open("wb") as file:
                    shutil.copyfileobj(source, file, _CHUNK)
    except (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError) as error:
        archive.unlink(missing_ok=True)
        raise DataError(f"{download.url}: the archive is broken and was removed, fetch again ({error})") from error
    pictures = set(pictures_in(folder))
    for other in set(folder.iterdir()) - pictures:
        other.unlink()
    found = len(pictures)
    if found != download.count:
        archive.unlink(missing_ok=True)
        raise DataError(
            f"{download.url}: {download.members}/ in the archive holds {found} pictures instead of {download.count}"
        )


def _is_plain(name: str) -> bool:
    return not name.startswith(".") and "\\" not in name


def _zip_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            if not member.is_dir():
                with opened.open(member) as source:
                    yield member.filename, source


def _tar_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(archive) as opened:
        for member in opened:
            source = opened.extractfile(member) if member.isfile() else None
            if source is not None:
                with source:
                    yield member.name, source
