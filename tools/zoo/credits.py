"""Collect what a card says about training images: number, terms and authors."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from urllib.parse import unquote

from nitido.base.atomic import write_text
from nitido.data import DATASETS, SAMPLES, DataError, Role, resolve
from nitido.data.catalog import SAMPLES_NAME

SOURCES = "SOURCES.tsv"
"""Beside the images of a folder: a line for each, `FILE, PAGE` or `FILE, TITLE, AUTHOR, LICENCE, PAGE`, by tabs."""


@dataclass(frozen=True)
class Credit:
    """The source of an image; unknown fields are empty."""

    file: str
    title: str = ""
    author: str = ""
    licence: str = ""
    page: str = ""


@dataclass(frozen=True)
class ImageSetNote:
    """An image set as named on a card, without folders of the training machine."""

    name: str
    title: str
    count: int
    terms: str
    credits: tuple[Credit, ...] = ()


def public_name(spec: str) -> str:
    """Return the specification of an image set without the path of its folder.

    >>> public_name("samples/train[:5]"), public_name("/home/me/photos49[:20]")
    ('samples/train[:5]', './photos49[:20]')
    """
    return spec if _catalog_name(spec) in DATASETS else f"./{Path(spec).name}"


def image_set_note(spec: str, role: Role) -> ImageSetNote:
    """Return the note on the images of `spec`; raise `DataError` if they or their sources are missing."""
    images = resolve(spec, role)
    name, count = _catalog_name(spec), len(images.paths)
    if name == SAMPLES_NAME:
        terms = {sample.file: sample.terms for sample in SAMPLES}
        credits = tuple(Credit(path.name, licence=terms[path.name]) for path in images.paths)
        return ImageSetNote(spec, DATASETS[name].title, count, DATASETS[name].terms, credits)
    if name in DATASETS:
        return ImageSetNote(spec, DATASETS[name].title, count, DATASETS[name].terms)
    credits = read_credits(images.paths)
    return ImageSetNote(public_name(spec), "", count, "stated per image" if credits else "none stated", credits)


def _catalog_name(spec: str) -> str:
    return spec.partition("/")[0].partition("[")[0]


def read_credits(paths: Sequence[Path]) -> tuple[Credit, ...]:
    """Return the credits of these images of one folder from its `SOURCES.tsv`, in order; empty without the file.

    Raises `DataError` for a line of another form, and for an image without a line.
    """
    table = paths[0].parent / SOURCES
    if not table.exists():
        return ()
    lines = table.read_text(encoding="utf-8").splitlines()
    known = {
        found.file: found for number, line in enumerate(lines, start=1) for found in [_credit(table, number, line)]
    }
    for path in paths:
        if path.name not in known:
            raise DataError(f"{table}: no line for {path.name}")
    return tuple(known[path.name] for path in paths)


def write_credits(folder: Path, credits: Sequence[Credit]) -> None:
    """Write `SOURCES.tsv` to `folder`, a line of five columns for each credit; white space becomes single spaces.

    Raises `DataError` where the disk does not take it.
    """
    lines = ["\t".join(" ".join(column.split()) for column in astuple(credit)) for credit in credits]
    try:
        write_text(folder / SOURCES, "".join(f"{line}\n" for line in lines))
    except OSError as error:
        raise DataError(f"cannot write {error.filename}: {error.strerror}") from error


def _credit(table: Path, number: int, line: str) -> Credit:
    match line.split("\t"):
        case [file, page]:
            return Credit(file, title=page_title(page), page=page)
        case [file, title, author, licence, page]:
            return Credit(file, title, author, licence, page)
    raise DataError(
        f"{table}: line {number}: expected FILE, PAGE or FILE, TITLE, AUTHOR, LICENCE, PAGE, separated by tabs"
    )


def page_title(page: str) -> str:
    """Return the title of an image from the URL of its page.

    >>> page_title("https://commons.wikimedia.org/wiki/File%3A125_-_Pont_de_Qu%C3%A9bec.jpg")
    '125 - Pont de Québec'
    """
    last = unquote(page.rstrip("/").rpartition("/")[2]).removeprefix("File:")
    return Path(last).stem.replace("_", " ")
