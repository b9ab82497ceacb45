"""Find the images of Debian's wallpaper packages: one file per motif, with its credit."""

import configparser
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from nitido.imaging import FORMATS, read_size
from nitido.models.zoo.shipped import ZooError
from tools.zoo.credits import Credit
from tools.zoo.debian_copyright import Terms, read_copyright

_DPKG = "var/lib/dpkg/info"


@dataclass(frozen=True)
class Package:
    """A Debian package with wallpapers: its name, and a glob of its images below the root."""

    name: str
    images: str


PACKAGES = (
    Package("lomiri-wallpapers-16.04", "usr/share/backgrounds/*"),
    Package("mate-backgrounds", "usr/share/backgrounds/mate/*/*"),
    Package("plasma-workspace-wallpapers", "usr/share/wallpapers/*/contents/images*/*"),
)
"""Packages whose images have been inspected."""


@dataclass(frozen=True)
class Wallpaper:
    """The largest file of a motif with its credit; `credit.file` is its path below the root."""

    path: Path
    credit: Credit


def find_wallpapers(root: Path) -> list[Wallpaper]:
    """Return the motifs of `PACKAGES` that are installed below `root`, by package and path.

    If `root` contains dpkg's lists of files, a file counts only for the package that installed it; otherwise packages
    were only unpacked there (`dpkg -x`). Author and licence are those in the motif's own files (Plasma's
    `metadata.json` or `.desktop`), or else those in the package's copyright file.

    Raises:
        ZooError: A package or its images are missing, or its terms cannot be read.
        ImageFileError: An image is damaged.
    """
    missing = [package.name for package in PACKAGES if not _copyright(root, package).is_file()]
    if missing:
        raise ZooError(f"{root}: no wallpapers of {', '.join(missing)}: apt install {' '.join(missing)}")
    return [found for package in PACKAGES for found in _motifs(root, package)]


def _copyright(root: Path, package: Package) -> Path:
    return root / "usr/share/doc" / package.name / "copyright"


def _motifs(root: Path, package: Package) -> Iterator[Wallpaper]:
    stated = read_copyright(_copyright(root, package))
    files = _files(root, package)
    if not files:
        raise ZooError(f"{root / package.images}: nothing there: apt install --reinstall {package.name}")
    for _, group in groupby(sorted(files, key=_motif), key=_motif):
        path = max(sorted(group), key=_pixels)
        inside = path.relative_to(root)
        title, own = _said_by_motif(path)
        general = stated.terms(inside)
        yield Wallpaper(
            path,
            Credit(
                inside.as_posix(),
                title or _motif(path)[1].replace("_", " "),
                own.author or general.author,
                own.licence or general.licence,
                stated.source or f"https://packages.debian.org/{package.name}",
            ),
        )


def _files(root: Path, package: Package) -> list[Path]:
    """Return the images of the package, without links to others."""
    found = [path for path in root.glob(package.images) if path.suffix.lower() in FORMATS]
    found = [path for path in found if path.is_file() and not path.is_symlink()]
    if not (root / _DPKG).is_dir():
        return found
    listing = root / _DPKG / f"{package.name}.list"
    try:
        installed = set(listing.read_text(encoding="utf-8").splitlines())
    except OSError as error:
        raise ZooError(f"cannot read {listing}: {error.strerror}") from error
    return [path for path in found if f"/{path.relative_to(root).as_posix()}" in installed]


def _motif(path: Path) -> tuple[Path, str]:
    """Return the folder and name that all sizes of a motif share.

    >>> _motif(Path("Kay/contents/images_dark/1080x1920.png")), _motif(Path("mate/Elephants_3840x2160.jpg"))
    ((PosixPath('Kay'), 'Kay'), (PosixPath('mate'), 'Elephants'))
    """
    if path.parent.parent.name == "contents":
        return path.parents[2], path.parents[2].name
    return path.parent, re.sub(r"_\d+x\d+$", "", path.stem)


def _pixels(path: Path) -> int:
    width, height = read_size(path)
    return width * height


def _said_by_motif(path: Path) -> tuple[str, Terms]:
    """Return title and terms from the metadata of a Plasma wallpaper; empty without metadata."""
    folder, _ = _motif(path)
    modern, former = folder / "metadata.json", folder / "metadata.desktop"
    try:
        if modern.is_file():
            plugin = json.loads(modern.read_text(encoding="utf-8"))["KPlugin"]
            authors = ", ".join(author["Name"] for author in plugin.get("Authors", []))
            return plugin.get("Name", ""), Terms(authors, plugin.get("License", ""))
        if former.is_file():
            parser = configparser.ConfigParser(interpolation=None)
            parser.read_string(former.read_text(encoding="utf-8"))
            entry = parser["Desktop Entry"]
            terms = Terms(entry.get("X-KDE-PluginInfo-Author", ""), entry.get("X-KDE-PluginInfo-License", ""))
            return entry.get("Name", ""), terms
    except (OSError, ValueError, KeyError, TypeError, AttributeError, configparser.Error) as error:
        unreadable = modern if modern.is_file() else former
        raise ZooError(f"{unreadable}: cannot read its title, authors and licence: {error!r}") from error
    return "", Terms()
