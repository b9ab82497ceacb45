"""The tags of a TIFF's first directory, for what libvips does not tell."""

import struct
from pathlib import Path

EXIF, GPS = 34665, 34853
"""Tags whose values are directories of EXIF (EXIF 2.3, section 4.6.3)."""


def tiff_tags(path: Path) -> set[int]:
    """The numbers of the tags in the first directory of the TIFF or BigTIFF at `path`, which libvips could read."""
    with path.open("rb") as file:
        head = file.read(16)
        order = "<" if head.startswith(b"II") else ">"
        (version,) = struct.unpack_from(f"{order}H", head, 2)
        # TIFF 6.0, section 2; BigTIFF: offset and count have 8 bytes, an entry 20.
        place, offset, count, entry = (8, "Q", "Q", 20) if version == 43 else (4, "I", "H", 12)
        file.seek(struct.unpack_from(f"{order}{offset}", head, place)[0])
        (entries,) = struct.unpack(f"{order}{count}", file.read(struct.calcsize(count)))
        tags = set()
        for _ in range(entries):
            tags.add(struct.unpack_from(f"{order}H", file.read(entry))[0])
        return tags
