"""Downloads datasets from public URLs: resumable downloads, verified archives, atomically created folders."""

import http.client
import lzma
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Literal, Self
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

from nitido.base.file_hash import sha256_of_file
from nitido.base.folders import data_root
from nitido.base.json_files import DamagedFileError, read_json, write_json
from nitido.data.catalog import DATASETS, DataError, Dataset, Download, dataset, images_in

if TYPE_CHECKING:
    import requests

SOURCE_FILE = "SOURCE.json"
"""The file next to a dataset's images that states their source."""

_CHUNK = 1 << 16
_TIMEOUT = (10.0, 60.0)  # seconds to connect, seconds without data
_LARGEST = 2**34  # maximum bytes of a file of unknown size
_PER_ARCHIVE, _PER_IMAGE = 2**26, 2**24  # maximum bytes, far more than in any published dataset
_SPARE = 2**26  # bytes of disk space that a download leaves free

# Members of a tar with long names or further properties (PAX) of the next member or of all members.
_DESCRIBING_MEMBERS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
_LARGEST_DESCRIPTION = 2**20  # bytes

# Exceptions of zipfile, tarfile and the decompressors for archives that are damaged, encrypted or unsupported.
_ARCHIVE_ERRORS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    ValueError,
    RuntimeError,
    LookupError,
    ArithmeticError,
)


@dataclass(frozen=True)
class Source:
    """One downloaded archive and why its checksum is trusted.

    `trust` is "catalog" (the catalog states the checksum), "recorded" (an earlier download had the same one) or "first
    use" (nothing states it; the caller should show it).
    """

    url: str
    sha256: str
    trust: Literal["catalog", "recorded", "first use"]


@dataclass(frozen=True)
class Fetched:
    """The folder of a dataset, and the archives that were downloaded for it (none if it already existed)."""

    folder: Path
    sources: tuple[Source, ...]


def fetch(url: str, target: Path, sha256: str | None = None, largest: int = _LARGEST) -> str:
    """Download `url` to `target` and return the SHA-256 of the file.

    Data are written to `target` + ".part", which is renamed when it is complete and verified. A lost connection is
    resumed if the server supports byte ranges; otherwise the download starts again. The partial file of an interrupted
    call is resumed only if `sha256` is given, because otherwise the parts may belong to different files. Without
    `sha256` nothing is verified: compare the returned checksum with a trusted one. An existing `target` is verified
    instead of downloaded. Progress is shown if standard error is a terminal.

    Raises:
        DataError: The URL cannot be reached, the connection is lost, the disk would be full, the server sends more than
            `largest` bytes, or the checksum is wrong. In the last two cases the file is removed.
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
            _download(url, part, largest)
        found = sha256_of_file(candidate)
        if sha256 is not None and found != sha256:
            candidate.unlink()
            raise DataError(f"{url}: the download was removed, because its sha256 is {found} instead of {sha256}")
        if candidate != target:
            candidate.replace(target)
    except OSError as error:
        raise DataError(f"cannot write {target}: {error.strerror or error}") from error
    return found


def fetch_dataset(name: str) -> Fetched:
    """Download the dataset `name` into `$NITIDO_DATA/<name>/`, unless its images already exist.

    The folder is created atomically. `SOURCE.json` in it records the URLs and checksums. If the catalog states no
    checksum, later downloads from the same URL are verified against it.

    Raises:
        DataError: An unknown name, a dataset without a public URL (the message says how to obtain it), a folder with
            other content, or a failed, wrong or damaged download.
    """
    entry = dataset(name)
    folder = entry.folder()
    if entry.is_complete():
        return Fetched(folder, ())
    if not entry.downloads:
        raise DataError(f"dataset {name!r} has no download URL: {entry.by_hand}; copy the images to {folder}")
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


def _download(url: str, part: Path, largest: int) -> None:
    """Complete `part` from `url`. Lost connections are resumed as long as new bytes arrive."""
    import requests
    from urllib3.exceptions import HTTPError

    with requests.Session() as session, _progress(part.stem) as (progress, task):
        while True:
            before = _size(part)
            try:
                complete = _continue_download(session, url, part, largest, progress, task)
                reason = "the connection was lost"
            except (requests.exceptions.RequestException, HTTPError, http.client.HTTPException, ValueError) as error:
                complete, reason = False, _reason(error)
            if complete:
                return
            if _size(part) <= before:
                so_far = f" after {before} bytes: run the same command to resume" if before else ""
                raise DataError(f"cannot fetch {url}: {reason}{so_far}")


def _continue_download(
    session: "requests.Session", url: str, part: Path, largest: int, progress: Progress, task: TaskID
) -> bool:
    """Request the missing bytes of `part` and append them; return whether the file is then complete."""
    have = _size(part)
    # Request uncompressed data, because the length of a compressed response is not that of the file.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with session.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        if response.status_code == 416 and response.headers.get("Content-Range") == f"bytes */{have}":
            return True
        if response.status_code == 416 and have:  # the server's file is shorter: `part` belongs to another one
            part.unlink()
            return _continue_download(session, url, part, largest, progress, task)
        if not response.ok:
            raise DataError(f"cannot fetch {url}: the server answers {response.status_code} {response.reason}")
        resumed = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        start = have if resumed else 0
        total = _announced(url, response.headers.get("Content-Length"), start)
        _check_disk_space(url, part, start, total or 0, largest)
        progress.update(task, total=total, completed=start)
        with part.open("ab" if resumed else "wb") as file:
            size = start
            # Not decoded, because some servers declare an archive's own compression as the content encoding.
            for chunk in response.raw.stream(_CHUNK, decode_content=False):
                size += len(chunk)
                _check_disk_space(url, part, size, size, largest)
                file.write(chunk)
                progress.advance(task, len(chunk))
    return total is None or _size(part) == total


def _announced(url: str, length: str | None, start: int) -> int | None:
    """Return the size of the whole file according to the Content-Length of a response that starts at byte `start`."""
    if length is None:
        return None
    if not (length.isascii() and length.isdigit() and len(length) < 20):
        raise DataError(f"cannot fetch {url}: the server's Content-Length is not a number: {length[:40]!r}")
    return start + int(length)


def _check_disk_space(url: str, part: Path, have: int, total: int, largest: int) -> None:
    """Raise `DataError` if `total` bytes, of which `have` are in `part`, are too many for the file or the disk."""
    if total > largest:
        part.unlink(missing_ok=True)
        raise DataError(
            f"cannot fetch {url}: the server sends more than {largest / 1e6:,.0f} MB, the limit for this file; "
            "the partial download was removed"
        )
    free = shutil.disk_usage(part.parent).free
    if total - have > free - _SPARE:
        raise DataError(
            f"cannot fetch {url} into {part.parent}: {(total - have) / 1e6:,.0f} MB are needed, but only "
            f"{free / 1e6:,.0f} MB of the disk are free"
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reason(error: Exception) -> str:
    """Return the cause as one line; network libraries wrap it several times."""
    import requests
    from urllib3.exceptions import ProtocolError, ReadTimeoutError

    if isinstance(error, requests.exceptions.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError | ProtocolError | ReadTimeoutError):
        return "the connection was lost"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not accepted"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "no connection (is the network up?)"
    return next(iter(str(error).splitlines()), type(error).__name__)


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


def _fetch_archive(download: Download, recorded: dict[str, str]) -> tuple[Path, Source]:
    """Return the archive's path and its checksum, verified against the catalog or else an earlier download."""
    archive = _archive_path(download.url)
    expected = download.sha256 or recorded.get(download.url)
    found = fetch(download.url, archive, expected, _largest(download))
    trust: Literal["catalog", "recorded", "first use"] = (
        "catalog" if download.sha256 else "recorded" if expected else "first use"
    )
    return archive, Source(download.url, found, trust)


def _largest(download: Download) -> int:
    """Return the maximum number of bytes of an archive and of its images."""
    return _PER_ARCHIVE + _PER_IMAGE * download.count


def _archive_path(url: str) -> Path:
    return data_root() / ".downloads" / PurePosixPath(url).name


def _needed_elsewhere(url: str) -> bool:
    """Return whether another incomplete dataset uses the same archive."""
    users = [entry for entry in DATASETS.values() if any(download.url == url for download in entry.downloads)]
    return not all(entry.is_complete() for entry in users)


def _refuse_foreign_files(folder: Path) -> None:
    """Raise `DataError` unless the folder is empty or contains only the record of an earlier download."""
    if folder.exists() and {path.name for path in folder.iterdir()} - {SOURCE_FILE}:
        raise DataError(f"{folder} contains other files than the complete dataset: move it away and fetch again")


def _recorded_checksums() -> dict[str, str]:
    """Return the checksum of every archive in a `SOURCE.json` of the data folder, by URL."""
    recorded: dict[str, str] = {}
    for path in sorted(data_root().glob(f"*/{SOURCE_FILE}")):
        remedy = "remove it and fetch again"
        try:
            archives = read_json(path, remedy, unsigned=True)["archives"]
            recorded |= {archive["url"]: archive["sha256"] for archive in archives}
        except DamagedFileError as error:
            raise DataError(str(error)) from None
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}") from None
        except (KeyError, TypeError):
            raise DataError(f"{path} is not a record of a download: {remedy}") from None
    return recorded


def _write_source(path: Path, entry: Dataset, sources: tuple[Source, ...]) -> None:
    record = {
        "dataset": entry.name,
        "title": entry.title,
        "terms": entry.terms,
        "archives": [asdict(source) for source in sources],
    }
    write_json(path, record)


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder next to `folder` to fill. On success it replaces `folder`, on any error it is removed."""
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
    """Extract the images of the archive's folder into `folder`; remove a damaged archive."""
    from nitido.imaging import ImageFileError

    folder.mkdir(parents=True, exist_ok=True)
    copy = _copy_zip if download.kind == "zip" else _copy_tar
    try:
        copy(archive, _Images(download, folder))
    except (*_ARCHIVE_ERRORS, ImageFileError) as error:
        raise _broken(download, archive, str(error)) from error
    except OSError as error:
        if error.errno is not None:  # an error of the disk; those of decompressors have no number
            raise
        raise _broken(download, archive, str(error)) from error
    found = len(images_in(folder))
    if found != download.count:
        archive.unlink(missing_ok=True)
        raise DataError(
            f"{download.url}: {download.members}/ in the archive contains {found} images instead of {download.count}"
        )


def _broken(download: Download, archive: Path, reason: str) -> DataError:
    archive.unlink(missing_ok=True)
    return DataError(f"{download.url}: the archive was damaged and removed: fetch again ({' '.join(reason.split())})")


class _Images:
    """Writes selected members of an archive into a new folder."""

    def __init__(self, download: Download, folder: Path) -> None:
        self.download = download
        self.folder = folder
        self.left = _largest(download)

    def wants(self, name: str) -> bool:
        """Return whether the member is an image of the wanted folder.

        Only the last part of a member's name becomes a file name, so that nothing can be written elsewhere.
        """
        from nitido.imaging import FORMATS

        path = PurePosixPath(name)
        is_plain = not path.name.startswith(".") and "\\" not in path.name and path.name.isprintable()
        is_image = is_plain and path.suffix.lower() in FORMATS
        return is_image and path.parent == PurePosixPath(self.download.members)

    def take(self, name: str, source: IO[bytes]) -> None:
        """Write a member; raise `ValueError` if it already exists or all members exceed the size limit."""
        from nitido.imaging import read_size

        target = self.folder / PurePosixPath(name).name
        if target.exists():
            raise ValueError(f"it contains {target.name} twice")
        with target.open("wb") as file:
            while chunk := source.read(_CHUNK):
                self.count(len(chunk))
                file.write(chunk)
        read_size(target)

    def count(self, size: int) -> None:
        """Count bytes extracted from the archive."""
        self.left -= size
        if self.left < 0:
            raise ValueError(f"it unpacks to more than {_largest(self.download) / 1e6:,.0f} MB")


def _copy_zip(archive: Path, images: _Images) -> None:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            if images.wants(member.filename):
                with opened.open(member) as source:
                    images.take(member.filename, source)


class _BoundedTarInfo(tarfile.TarInfo):
    """A tar member with a size limit for members that describe others, because tarfile reads those into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Return the member of a header block; raise `ValueError` for one that is not supported."""
        member = super().frombuf(buf, encoding, errors)
        if member.type == tarfile.GNUTYPE_SPARSE:
            raise ValueError(f"it contains the sparse file {member.name}, which is not supported")
        if member.type in _DESCRIBING_MEMBERS and member.size > _LARGEST_DESCRIPTION:
            raise ValueError(f"it claims {member.size / 1e6:,.0f} MB for the names of a member")
        return member


def _copy_tar(archive: Path, images: _Images) -> None:
    with tarfile.open(archive, tarinfo=_BoundedTarInfo) as opened:
        for member in opened:
            source = opened.extractfile(member) if member.isfile() and images.wants(member.name) else None
            if source is None:
                images.count(member.size)  # it must be decompressed to reach the next one
            else:
                with source:
                    images.take(member.name, source)
