"""The command line: thin commands over the packages. Heavy imports stay inside the commands."""

from nitido.cli.app import main

__all__ = ["main"]
