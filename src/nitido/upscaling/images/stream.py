"""A picture encoded straight into its file, whose errors stay what they are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyvips

from nitido.base.atomic import replacing

_PULSE = 1 << 20
"""Bytes of a file between two calls of `pulse`."""


def write_stream(
    path: Path,
    save: Callable[[pyvips.TargetCustom], Any],
    pulse: Callable[[], None],
    insertion: tuple[int, bytes] = (0, b""),
    before: Callable[[Path], None] | None = None,
) -> None:
    """Let `save` give a libvips target what shall become the file `path`, which appears whole or not at all.

    `insertion` is a place in what `save` writes, in bytes, and what is put there; only for encoders that never go back.
    `pulse` is called now and then, by whatever thread of libvips is writing; what it raises ends the writing. Raises
    that, OSError as the disk does, and `pyvips.Error` for everything that is libvips' own. `before` is for `replacing`.
    """
    raised: list[BaseException] = []
    written = 0
    with replacing(path, before) as draft, draft.open("w+b", buffering=_PULSE) as file:

        def write(content: Any) -> int:
            nonlocal written
            if written // _PULSE != (written + len(content)) // _PULSE:
                pulse()
            start, written = written, written + len(content)
            place, inserted = insertion
            if not inserted or not start <= place < written:
                return file.write(content)
            before = file.write(content[: place - start])
            file.write(inserted)
            return before + file.write(content[place - start :])

        def kept(act: Callable[..., Any], failed: int | None) -> Callable[..., Any]:
            def acted(*arguments: Any) -> Any:
                try:
                    return act(*arguments)
                except BaseException as error:  # inside a callback of C it would be printed and lost
                    raised.append(error)
                    return failed

            return acted

        target = pyvips.TargetCustom()
        target.on_write(kept(write, -1))
        target.on_read(kept(file.read, None))  # libtiff goes back to what it has written
        target.on_seek(kept(file.seek, -1))
        try:
            save(target)
        except pyvips.Error:
            if raised:
                raise raised[0] from None
            raise
        if raised:  # not every encoder minds
            raise raised[0]
