"""Tests atomic files, nearest names and one-line configuration errors."""

import errno
import os
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field

from nitido.base.atomic import replacing, write_bytes, write_text
from nitido.base.errors import nearest, unknown_name
from nitido.base.validation import ConfigError, StrictModel


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    write_text(target, "old")

    def fail_half_way() -> None:
        with replacing(target) as draft:
            draft.write_text("half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left") as caught:
        fail_half_way()
    assert caught.value.filename == str(target)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_a_write_creates_folders_and_keeps_the_suffix(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "image.png"
    with replacing(target) as draft:
        assert draft.suffix == ".png"
        assert draft.parent == target.parent
        draft.write_bytes(b"x")
    assert target.read_bytes() == b"x"
    write_bytes(target, b"y")
    assert target.read_bytes() == b"y"


def test_names_are_guessed_whatever_their_case() -> None:
    assert nearest("VANILA", ["vanilla", "residual"]) == "vanilla"
    assert "did you mean" not in str(unknown_name("thing", "qqq", ["vanilla"]))


class Inner(StrictModel):
    depth: int = Field(1, gt=0)


class Outer(StrictModel):
    inner: Inner = Inner()
    kind: str = "a"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"inner": {"dpeth": 2}}, "here: unknown key 'dpeth' in inner: did you mean 'depth'? (valid: depth)"),
        ({"inner": {"depth": -2}}, "here: inner.depth: input should be greater than 0, got -2"),
        ({"kind": 3}, "here: kind: input should be a valid string, got 3"),
    ],
)
def test_a_wrong_configuration_gives_one_line(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Outer.parse(values, "here")
    assert str(caught.value) == message


class Choice(StrictModel):
    scale: Literal[2, 4] = 2
    mode: Literal["a", "b"] = "a"


def test_text_from_the_command_line_chooses_among_numbers() -> None:
    assert Choice.parse({"scale": "4", "mode": "b"}, "here") == Choice(scale=4, mode="b")
    with pytest.raises(ConfigError, match=r"^here: scale: input should be 2 or 4, got '3'$"):
        Choice.parse({"scale": "3"}, "here")


def test_configurations_cannot_be_changed_afterwards() -> None:
    with pytest.raises(Exception, match="frozen"):
        Outer().kind = "b"  # type: ignore[misc]
