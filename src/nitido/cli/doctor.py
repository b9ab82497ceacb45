"""`nitido doctor`: check hardware, installation, protocol and kernels."""

import typer

from nitido.cli.console import Json, print_table, report


def doctor(json: Json = None) -> None:
    """Check hardware, compiler, optional packages and data, and test metrics and kernels. Exit code 1 for a defect.

    Example: nitido doctor
    """
    from nitido.benchmarking.diagnosis import describe, diagnose

    found = diagnose()
    report(found.as_json(), json, lambda: print_table("", ["what", "state", "details"], describe(found.checks)))
    if found.failed:
        raise typer.Exit(1)
