"""Print tables, notes and JSON."""

import json
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nitido.base.atomic import check_writable, write_text
from nitido.base.errors import NitidoError
from nitido.base.json_files import without_non_finite
from nitido.base.printable import printable
from nitido.cli import completion
from nitido.cli.streams import is_closed

JSON_TO_STDOUT = "-"

_stdout_of_json: ContextVar[TextIO | None] = ContextVar("stdout_of_json", default=None)
_PROSE = 24  # columns of text with spaces are not made narrower than this, if they are that wide
_INDENT = "  "


def say(line: object) -> None:
    """Print one line on standard output; invisible characters are escaped."""
    print(printable(line))


def note(line: object) -> None:
    """Print one line on standard error; invisible characters are escaped."""
    print(printable(line), file=sys.stderr)


def print_table(title: str, header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print a table on standard output; cells that look like numbers are right-aligned.

    In a pipe or a file it is as wide as necessary. On a terminal, or if COLUMNS is set, text wraps between words; if
    that does not fit either, every row becomes a block of lines.
    """
    header = [printable(name) for name in header]
    lines = [[printable(cell) for cell in line] for line in lines]
    wanted = [max(map(cell_len, column)) for column in zip(header, *lines, strict=True)]
    least = [max(map(_least_width, column)) for column in zip(header, *lines, strict=True)]
    width = _output_width()
    widths = _fitted(wanted, least, width - 3 * len(header) - 1) if width else wanted
    if title:
        say(title)
    if widths is None:
        _print_blocks(header, lines, width or 0)
        return
    table = Table(header_style="bold")
    for number, name in enumerate(header):
        numeric = bool(lines) and all(line[number][:1] in "+-–≥0123456789" for line in lines)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold", width=widths[number])
    for line in lines:
        table.add_row(*map(Text, line))
    Console(width=sum(widths) + 3 * len(header) + 1).print(table)


def _output_width() -> int | None:
    """Return the available columns from COLUMNS or the terminal; None in a pipe or a file."""
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said) > 0:
        return int(said)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError):
        return None


def _least_width(cell: str) -> int:
    """Return the minimum width of a cell: that of its longest word, and at least `_PROSE` for longer text."""
    return max(min(cell_len(cell), _PROSE), *(cell_len(word) for word in cell.split() or [""]))


def _fitted(wanted: Sequence[int], least: Sequence[int], room: int) -> list[int] | None:
    """Return column widths with a sum of at most `room`; columns that need the least are widened first."""
    spare = room - sum(least)
    if spare < 0:
        return None
    widths = list(least)
    for number in sorted(range(len(widths)), key=lambda column: wanted[column] - least[column]):
        given = min(spare, wanted[number] - least[number])
        widths[number] += given
        spare -= given
    return widths


def _print_blocks(header: Sequence[str], lines: Sequence[Sequence[str]], width: int) -> None:
    """Print every row as a block: the first cell, then a line for each other cell that is not empty."""
    for line in lines:
        print(line[0])
        for name, cell in zip(header[1:], line[1:], strict=True):
            if cell:
                text = f"{name}: {cell}" if name else cell
                room = max(width, len(_INDENT) + 1)
                wrapped = textwrap.wrap(
                    text,
                    room,
                    initial_indent=_INDENT,
                    subsequent_indent=2 * _INDENT,
                    break_long_words=False,
                    break_on_hyphens=False,
                )
                print("\n".join(wrapped))


@contextmanager
def _stdout_for_json_alone() -> Iterator[None]:
    """Redirect everything that is printed in the block to standard error, except JSON."""
    taken = _stdout_of_json.set(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _stdout_of_json.reset(taken)


def _json_target(context: typer.Context, target: str | None) -> str | None:
    """Check before any work that JSON can be written to `target`; "-" reserves standard output for JSON."""
    if target == JSON_TO_STDOUT:
        if is_closed(sys.stdout):
            raise NitidoError("--json -: standard output is closed: name a file")
        context.with_resource(_stdout_for_json_alone())
    elif target is not None:
        output_file(Path(target))
        _refuse_other_content(Path(target))
    return target


Json = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="Write JSON to FILE ('-': standard output).", callback=_json_target),
]
"""The option `--json` of all commands."""

Device = Annotated[
    str | None,
    typer.Option(
        metavar="auto|cpu|cuda:N|mps",
        help="Where networks run. auto: cuda, otherwise mps, otherwise cpu. Default: auto.",
        autocompletion=completion.device_names,
    ),
]
"""The option `--device`, the same for all commands that run networks."""


def output_file(target: Path | None) -> Path | None:
    """Check before any work that the file `target` can be written: a callback for options.

    Raises `NitidoError` if another argument of the command names the same file: an input would be lost, or one of two
    outputs.
    """
    if target is not None:
        check_writable(target)
        _refuse_second_use(target)
    return target


def _refuse_second_use(target: Path) -> None:
    """Raise `NitidoError` if the command line names the regular file `target` more than once."""
    if target.exists() and not target.is_file():  # a device takes the output of several
        return
    place = os.path.realpath(target)
    if sum(os.path.realpath(_value(argument)) == place for argument in sys.argv[1:]) > 1:
        raise NitidoError(f"{target}: the command names this file twice, and one of them is an output: choose another")


def _value(argument: str) -> str:
    """Return the value in an argument of the command line: of `--option=value`, of `-ovalue`, or all of it."""
    if argument.startswith("--"):
        return argument.partition("=")[2] or argument
    return argument[2:] if argument.startswith("-") and len(argument) > 2 else argument


def _refuse_other_content(target: Path) -> None:
    """Raise `NitidoError` if `target` is a regular file with a content that is not JSON, which would be lost."""
    if not target.is_file():
        return
    with target.open("rb") as file:
        beginning = file.read(64).lstrip()
    if beginning and not beginning.startswith((b"{", b"[")):
        raise NitidoError(f"--json {target}: this file exists and holds no JSON: choose another name, or remove it")


def report(value: Any, target: str | None, show: Callable[[], None]) -> None:
    """Write `value` as JSON to `target` if given, and call `show` unless the target is standard output.

    If writing fails with an OSError, `show` is called nevertheless, so that no result is lost.
    """
    try:
        if target is not None:
            write_json_output(value, target)
    finally:
        if target != JSON_TO_STDOUT:
            show()


def write_json_output(value: Any, target: str) -> None:
    r"""Write JSON to the file `target`, or to standard output for "-".

    Bytes of file names that are not UTF-8 become surrogate escapes, which Python's `json` and `os.fsencode` convert
    back to the same bytes.
    """
    text = json.dumps(without_non_finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if target == JSON_TO_STDOUT:
        (_stdout_of_json.get() or sys.stdout).write(text)
        return
    write_text(Path(target), text)
