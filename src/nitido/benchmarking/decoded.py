"""Crop training patches by decoding an image file for every patch, as a reference."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from nitido.data import Store, patch_plan
from nitido.data.patches import apply_symmetry
from nitido.imaging import load_image, save_image

Bytes = npt.NDArray[np.uint8]


class DecodedPatches:
    """The same patches as those of a `PatchSampler`, each cropped from image files that are decoded for it."""

    def __init__(self, store: Store, scale: int, patch: int, folder: Path) -> None:
        """Use the files of the store if they are PNG, and write the others to `folder`."""
        self.sizes = store.lr_sizes(scale)
        self.scale = scale
        self.patch = patch
        self.hr = [_as_png(store, i, folder) for i in range(len(store))]
        self.lr = [folder / f"{i}_lr.png" for i in range(len(store))]
        for i, path in enumerate(self.lr):
            save_image(path, store.lr(i, scale))

    def by_pillow(self, start: int, count: int) -> tuple[Bytes, Bytes]:
        """Return patches `start` to `start + count - 1`, shaped as in `PatchSampler.batch`."""
        return self._batch(_decode_by_pillow, start, count)

    def by_libvips(self, start: int, count: int) -> tuple[Bytes, Bytes]:
        """Return the same with the reader of nitido."""
        return self._batch(_decode_by_libvips, start, count)

    def _batch(self, decode: Callable[[Path], Bytes], start: int, count: int) -> tuple[Bytes, Bytes]:
        plan = patch_plan(0, np.arange(start, start + count), self.sizes, self.patch)
        places = zip(plan.image.tolist(), plan.top.tolist(), plan.left.tolist(), plan.symmetry.tolist(), strict=True)
        pairs = []
        for image, top, left, symmetry in places:
            lr = _crop(decode(self.lr[image]), top, left, self.patch)
            hr = _crop(decode(self.hr[image]), self.scale * top, self.scale * left, self.scale * self.patch)
            pairs.append((apply_symmetry(lr, symmetry), apply_symmetry(hr, symmetry)))
        lrs, hrs = (np.stack(patches).transpose(0, 3, 1, 2) for patches in zip(*pairs, strict=True))
        return lrs, hrs


def _crop(image: Bytes, top: int, left: int, side: int) -> Bytes:
    return image[top : top + side, left : left + side]


def _as_png(store: Store, i: int, folder: Path) -> Path:
    """Return the file of image `i` if it is an 8-bit PNG (Pillow converts 16 bits differently), else a new one."""
    own = Path(store.entries[i].path)
    if own.suffix.lower() == ".png" and load_image(own).pixels.dtype == np.uint8:
        return own
    path = folder / f"{i}_hr.png"
    save_image(path, store.hr(i))
    return path


def _decode_by_pillow(path: Path) -> Bytes:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _decode_by_libvips(path: Path) -> Bytes:
    return load_image(path).rgb8()
