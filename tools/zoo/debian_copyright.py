"""Read author and license of files from the machine-readable copyright file of a Debian package."""

import email
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

from nitido.models.zoo.shipped import ZooError

_FORMAT = "packaging-manuals/copyright-format/1.0"
_YEARS = r"\d{4}(?:\s*-\s*\d{4})?"


@dataclass(frozen=True)
class Terms:
    """Copyright holder and short license name; empty if unknown."""

    author: str = ""
    licence: str = ""


@dataclass(frozen=True)
class CopyrightFile:
    """The copyright file of a package: URL of its source (may be empty), and terms by file pattern."""

    source: str
    stanzas: tuple[tuple[tuple[str, ...], Terms], ...]

    def terms(self, path: PurePath) -> Terms:
        """Return the terms of an installed file; the last matching stanza counts, as in the format.

        Patterns are of paths in the source package, and a package may install a file somewhere else: a pattern fits
        when it matches the end of `path`, or when its last part is the very name of the file.
        """
        fitting = [terms for patterns, terms in self.stanzas if any(_fits(pattern, path) for pattern in patterns)]
        return fitting[-1] if fitting else Terms()


def read_copyright(path: Path) -> CopyrightFile:
    """Read a `copyright` file in the machine-readable format 1.0 (DEP-5); `ZooError` when it is something else.

    https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ZooError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    # A paragraph is written as the header of an email: `Field: value`, continued on indented lines.
    header, *paragraphs = [email.message_from_string(part) for part in re.split(r"\n(?:[ \t]*\n)+", text.strip("\n"))]
    if _FORMAT not in header.get("Format", ""):
        raise ZooError(f"{path}: not a machine-readable copyright file: its first line must be 'Format: …/{_FORMAT}/'")
    address = re.search(r"https?://\S+", header.get("Source", ""))
    stanzas = tuple(
        (tuple(part["Files"].split()), Terms(_holders(part.get("Copyright", "")), _first_line(part.get("License", ""))))
        for part in paragraphs
        if "Files" in part
    )
    return CopyrightFile(address.group() if address else "", stanzas)


def _fits(pattern: str, path: PurePath) -> bool:
    ends = ["/".join(path.parts[start:]) for start in range(len(path.parts))]
    return PurePath(pattern).name == path.name or any(fnmatchcase(end, pattern) for end in ends)


def _holders(statement: str) -> str:
    r"""Return the names in a `Copyright` field, without years and addresses.

    >>> _holders('2008, Jo Doe <jo@example.org>\n  2010-2016 The artists http://example.org/')
    'Jo Doe, The artists'
    >>> _holders('"Bolly", 2018'), _holders("2018. Sander")
    ('"Bolly"', 'Sander')
    """
    names = []
    for line in statement.splitlines():
        name = re.sub(r"<[^>]*>.*|https?://\S+", "", line).strip()
        name = re.sub(rf"^(?:{_YEARS}[\s,.]*)+|[\s,]*{_YEARS}$", "", name)
        names.append(name.strip(" ,"))
    return ", ".join(dict.fromkeys(filter(None, names)))


def _first_line(field: str) -> str:
    return field.partition("\n")[0].strip()
