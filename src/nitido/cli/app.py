"""The `nitido` command, and the conversion of errors to one line."""

import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer
from typer.main import get_command

from nitido.base.errors import INTERRUPTED, NitidoError
from nitido.base.plugins import load_plugins
from nitido.cli import benchmark, data, doctor, evaluation, model, study, training, upscale
from nitido.cli.console import note, say
from nitido.cli.display import Display
from nitido.cli.misuse import describe_misuse
from nitido.cli.streams import tolerant_streams

UNEXPECTED = 70
"""Exit code of a defect of nitido (`EX_SOFTWARE` of sysexits.h)."""

COMPLETION = "_NITIDO_COMPLETE"
"""The environment variable by which a shell asks for completions."""

_REMEDIES = {
    errno.ENOSPC: "free some space there, or choose another place",
    errno.EDQUOT: "free some space there, or choose another place",
    errno.EFBIG: "choose a place that takes larger files",
    errno.EACCES: "choose another place, or change its permissions",
    errno.EPERM: "choose another place, or change its permissions",
    errno.EROFS: "choose another place",
    errno.ENOENT: "check the name",
    errno.ENOTDIR: "choose another path",
    errno.EISDIR: "name a file",
    errno.EEXIST: "remove it, or choose another name",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "the link leads back to itself: remove it",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.EIO: "the disk or the connection to it fails: check it",
    errno.ESTALE: "the network drive has gone: connect it again",
}

_CLEARER_REASONS = {
    errno.ENOTDIR: "a file, but a folder is required",
    errno.EISDIR: "a folder, but a file is required",
}
"""Reasons that replace those of the system, which do not say what was required."""

app = typer.Typer(
    name="nitido",
    help="Train, compare and apply networks for single-image super-resolution.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(study.app)
app.add_typer(data.app)
app.add_typer(model.app)
app.add_typer(benchmark.app)
app.command()(training.train)
app.command()(evaluation.evaluate)
app.command()(evaluation.compare)
app.command()(upscale.upscale)


app.command()(doctor.doctor)


def _print_version(wanted: bool) -> None:
    """Print the version and end the command."""
    if wanted:
        say(f"nitido {version('nitido')}")
        raise typer.Exit


@app.callback()
def before_any_command(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version, and exit.")
    ] = False,
) -> None:
    """Load plugins, except for help."""
    if not {"--help", "-h"} & set(sys.argv):
        load_plugins()


def main() -> None:
    """Run the command line; every error is one line on standard error and a non-zero exit code."""
    with tolerant_streams() as output:
        code = _run(sys.argv[1:])
        sys.stdout.flush()
        if output.error is not None:
            code = code or _fail(f"standard output: {_about(output.error)}", 1)
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    """Run a command and return its exit code."""
    try:
        # Not app(): it prints errors in frames of several lines and handles some exceptions itself.
        command = get_command(app)
        if COMPLETION in os.environ:
            command.main(arguments, prog_name=app.info.name)
        with Display().for_command(), command.make_context(app.info.name, arguments) as context:
            command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    except NitidoError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except OSError as error:
        return _fail(_about(error), 1)
    except Exception as error:
        if hasattr(error, "format_message"):  # typer's errors for wrong arguments; their class differs between versions
            return _misused(error, arguments)
        if _is_out_of_memory(error):
            return _fail("there is not enough memory for this", 1)
        return _fail(_unexpected(error), UNEXPECTED)
    return 0


def _fail(message: str, code: int) -> int:
    note(f"nitido: {message}")
    return code


def _about(error: OSError) -> str:
    """Describe an OSError: the file, the reason, and a remedy."""
    files = " and ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    reason = _CLEARER_REASONS.get(error.errno or 0) or error.strerror or str(error) or type(error).__name__
    said = ": ".join(part for part in (files, reason) if part)
    remedy = _REMEDIES.get(error.errno or 0)
    return f"{said}: {remedy}" if remedy else said


def _misused(error: Exception, arguments: Sequence[str]) -> int:
    """Say in one line what is wrong with the arguments, and name the help command."""
    code = int(getattr(error, "exit_code", 2))
    if type(error).__name__ == "NoArgsIsHelpError":  # the help has been printed
        return code
    return _fail(describe_misuse(error, arguments, app.info.name or ""), code)


def _is_out_of_memory(error: Exception) -> bool:
    if not isinstance(error, MemoryError | RuntimeError):
        return False
    from nitido.base.out_of_memory import is_out_of_memory_error

    return is_out_of_memory_error(error)


def _unexpected(error: Exception) -> str:
    """Describe a defect of nitido, and write the traceback to a file."""
    said = f"unexpected {type(error).__name__}: {error}" if str(error) else f"unexpected {type(error).__name__}"
    try:
        descriptor, path = tempfile.mkstemp(prefix="nitido-traceback-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError as unwritable:
        return f"{said} (this is a defect of nitido; the traceback could not be written: {unwritable.strerror})"
    return f"{said} (this is a defect of nitido; the traceback is in {path})"
