"""`python -m nitido`, the same as the `nitido` command."""

from nitido.cli import main

main()
