"""Notes are one printable line on standard error, once."""

import os
import sys
from pathlib import Path

import pytest

from nitido.base.notes import note


def test_a_note_is_printed_once_as_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        note("a\nb\x1b[2J: \udcff")
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "note: a\\nb\\x1b[2J: \\xff\n")


def test_a_closed_standard_error_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open("w", encoding="ascii") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        note("to an encoding without ü")
    note("to a closed stream")
