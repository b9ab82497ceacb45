"""The `nitido` command and how its errors reach people."""

import errno
import sys

import typer

from nitido.cli import benchmark, data, evaluation, model, study, training, upscale
from nitido.errors import INTERRUPTED, NitidoError
from nitido.plugins import load_plugins

app = typer.Typer(
    name="nitido",
    help="A workbench for single-image super-resolution: did my change help, by how much, and is it more than noise?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
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


@app.callback()
def before_any_command() -> None:
    """Load what others have registered; help answers without it."""
    if not {"--help", "-h"} & set(sys.argv):
        load_plugins()


def main() -> None:
    """Run the command line; what a user can cause ends as one line on standard error and a non-zero exit code."""
    try:
        app()
    except NitidoError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", INTERRUPTED)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer has made it of KeyboardInterrupt, without a word
            _fail("interrupted", INTERRUPTED)
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EPERM):
            raise
        _fail(f"{error.filename or 'the disk'}: {error.strerror}", 1)
    except (MemoryError, RuntimeError) as error:
        from nitido.short_memory import tells_of_short_memory

        if not tells_of_short_memory(error):
            raise
        _fail("there is not enough memory for this", 1)


def _fail(message: str, code: int) -> None:
    print(f"nitido: {message}", file=sys.stderr)
    sys.exit(code)
