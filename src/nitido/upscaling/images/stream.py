"""Encodes an image directly into its file, preserving the original exceptions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyvips

from nitido.base.atomic import replacing

_PULSE = 1 << 20
"""Bytes written between two calls of `pulse`."""


def write_stream(
    path: Path,
    save: Callable[[pyvips.TargetCustom], Any],
    pulse: Callable[[], None],
    insertion: tuple[int, bytes] = (0, b""),
    before: Callable[[Path], None] | None = None,
) -> None:
    """Write the output of `save`, which gets a libvips target, to `path` atomically.

    Args:
        path: The file.
        save: Saves an image to the target.
        pulse: Called regularly by the writing thread of libvips; an exception stops the writing.
        insertion: An offset in the output of `save`, in bytes, and bytes to insert there; only for encoders that do not
            seek.
        before: As in `replacing`.

    Raises:
        OSError: The disk is full or read-only.
        pyvips.Error: Any other error of libvips.
        BaseException: Any exception of `pulse`.
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
                except BaseException as error:  # within a C callback it would be printed and lost
                    raised.append(error)
                    return failed

            return acted

        target = pyvips.TargetCustom()
        target.on_write(kept(write, -1))
        target.on_read(kept(file.read, None))  # libtiff reads what it has written
        target.on_seek(kept(file.seek, -1))
        try:
            save(target)
        except pyvips.Error:
            if raised:
                raise raised[0] from None
            raise
        if raised:  # some encoders ignore failed writes
            raise raised[0]
