"""The catalog of datasets (folders, splits, terms, downloads) and the grammar of image set specifications."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from nitido.base.errors import NitidoError, nearest, unknown_name
from nitido.base.folders import data_root, expanded

Role = Literal["train", "validation", "test"]


class DataError(NitidoError):
    """Images are missing, unusable or not the expected ones."""


@dataclass(frozen=True)
class Split:
    """A part of a dataset, whose images are stored in the subfolder `name`."""

    name: Role
    count: int


@dataclass(frozen=True)
class Download:
    """An archive at a public URL, and the folder in it that contains the images.

    `sha256` is None if no trusted source states it; the first download then records its checksum.
    """

    url: str
    kind: Literal["zip", "tar"]
    members: str
    count: int
    split: Role | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Dataset:
    """A named set of images: their number, folder, terms and downloads."""

    name: str
    title: str
    count: int
    terms: str
    splits: tuple[Split, ...] = ()
    downloads: tuple[Download, ...] = ()
    by_hand: str = ""

    @property
    def layout(self) -> str:
        """Where the files are expected, for messages."""
        if self.name == SAMPLES_NAME:
            return "inside the installed packages nitido and scikit-image"
        parts = "{" + ",".join(split.name for split in self.splits) + "}/" if self.splits else ""
        return f"$NITIDO_DATA/{self.name}/{parts}"

    def folder(self, split: Role | None = None) -> Path:
        """Return the folder with the images of `split`, or of the dataset; it need not exist.

        The images of `samples` that scikit-image ships are elsewhere (`Sample.path`).
        """
        if self.name == SAMPLES_NAME:
            return SAMPLES_FOLDER
        return data_root() / self.name / (split or "")

    def is_complete(self) -> bool:
        """Return whether the folders contain the expected number of images."""
        if self.name == SAMPLES_NAME:
            return all(sample.path.is_file() for sample in SAMPLES)
        parts = [(self.folder(split.name), split.count) for split in self.splits] or [(self.folder(), self.count)]
        return all(len(images_in(folder)) == count for folder, count in parts)


@dataclass(frozen=True)
class Sample:
    """One image of `samples`.

    Attributes:
        file: Its file name.
        split: The split it is in.
        scene: What it shows. Images of one scene are in one split.
        terms: Its terms of use and its source.
        kodak: The number of the Kodak image that it is a crop of. None: an image of scikit-image.
    """

    file: str
    split: Role
    scene: str
    terms: str
    kodak: int | None = None

    @property
    def path(self) -> Path:
        """The installed file; raises `DataError` if scikit-image is needed and missing."""
        return (_scikit_image_folder() if self.kodak is None else SAMPLES_FOLDER) / self.file


@dataclass(frozen=True)
class ImageSet:
    """Images that were specified together; `name` is the specification as written.

    `published` are the images of the catalog's datasets. These datasets are used as their authors published them, even
    if two images are equal. Duplicates of other images count once.
    """

    name: str
    paths: tuple[Path, ...]
    published: frozenset[Path] = frozenset()


SAMPLES_NAME = "samples"

SAMPLES_FOLDER = Path(__file__).with_name("samples")
"""The folder with the crops of the Kodak images; `python -m tools.samples` makes them."""

_KODAK = "unrestricted use (Eastman Kodak Company)"

# Scenes were compared by eye: 1 and 2 show the same door, 6 and 11 the same boat. The sailing boats (9, 10) and the
# lighthouses (19, 21) are similar. Excluded images of scikit-image: those without a licence (motorcycle), micrographs,
# scans, drawings, and very soft ones (moon, retina, hubble_deep_field).
SAMPLES = (
    Sample("astronaut.png", "train", "astronaut", "public domain (NASA)"),
    Sample("brick.png", "train", "brick", "CC0 (CC0Textures)"),
    Sample("coffee.png", "train", "coffee", "CC0 (Rachel Michetti)"),
    Sample("coins.png", "train", "coins", "no known copyright restrictions (Brooklyn Museum)"),
    Sample("grass.png", "train", "grass", "CC0 (linolafett, DeviantArt)"),
    Sample("gravel.png", "train", "gravel", "CC0 (CC0Textures)"),
    Sample("kodak01_wall.webp", "train", "house with red shutters", _KODAK, 1),
    Sample("kodak02_door.webp", "train", "house with red shutters", _KODAK, 2),
    Sample("kodak06_boat.webp", "train", "fishing boat", _KODAK, 6),
    Sample("kodak11_pier.webp", "train", "fishing boat", _KODAK, 11),
    Sample("kodak13_stream.webp", "train", "mountain stream", _KODAK, 13),
    Sample("kodak14_raft.webp", "train", "raft", _KODAK, 14),
    Sample("camera.png", "validation", "photographer", "CC0 (Lav Varshney)"),
    Sample("kodak22_barn.webp", "validation", "barn", _KODAK, 22),
    Sample("kodak24_balcony.webp", "validation", "painted house", _KODAK, 24),
    Sample("rocket.jpg", "validation", "rocket", "public domain (SpaceX)"),
    Sample("chelsea.png", "test", "cat", "CC0 (Stefan van der Walt)"),
    Sample("kodak03_caps.webp", "test", "caps", _KODAK, 3),
    Sample("kodak04_face.webp", "test", "woman with a red hat", _KODAK, 4),
    Sample("kodak05_motorbikes.webp", "test", "motorbikes", _KODAK, 5),
    Sample("kodak07_flower.webp", "test", "flower at a window", _KODAK, 7),
    Sample("kodak08_sign.webp", "test", "half-timbered houses", _KODAK, 8),
    Sample("kodak09_crew.webp", "test", "regatta", _KODAK, 9),
    Sample("kodak10_sail.webp", "test", "regatta", _KODAK, 10),
    Sample("kodak12_couple.webp", "test", "beach", _KODAK, 12),
    Sample("kodak15_eye.webp", "test", "girl with a painted face", _KODAK, 15),
    Sample("kodak16_palms.webp", "test", "island", _KODAK, 16),
    Sample("kodak17_statue.webp", "test", "statue", _KODAK, 17),
    Sample("kodak18_necklace.webp", "test", "woman beside a sculpture", _KODAK, 18),
    Sample("kodak19_fence.webp", "test", "lighthouse", _KODAK, 19),
    Sample("kodak20_propeller.webp", "test", "aeroplane", _KODAK, 20),
    Sample("kodak21_cliff.webp", "test", "lighthouse", _KODAK, 21),
    Sample("kodak23_macaw.webp", "test", "parrots", _KODAK, 23),
)

_BSDS500_URL = "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/BSR/BSR_bsds500.tgz"
_BSDS_TERMS = "Berkeley, research"
_ACADEMIC = "none stated (academic)"


def _bsds500(part: str, count: int) -> tuple[Download, ...]:
    return (Download(_BSDS500_URL, "tar", f"BSR/BSDS500/data/images/{part}", count),)


def _benchmark(title: str, count: int) -> tuple[Download, ...]:
    url = f"https://huggingface.co/datasets/eugenesiow/{title}/resolve/main/data/{title}_HR.tar.gz"
    return (Download(url, "tar", f"{title}_HR", count),)


# The checksums of DIV2K are those that TensorFlow Datasets publishes for the same URLs.
_DIV2K = (
    Download(
        "https://data.vision.ee.ethz.ch/cvl/DIV2K/DIV2K_train_HR.zip",
        "zip",
        "DIV2K_train_HR",
        800,
        split="train",
        sha256="9d0b9c463f6e35b6c62cc6a930ee2224f670b34c1df841a57670f9acf0f6c335",
    ),
    Download(
        "https://data.vision.ee.ethz.ch/cvl/DIV2K/DIV2K_valid_HR.zip",
        "zip",
        "DIV2K_valid_HR",
        100,
        split="validation",
        sha256="20dd31fd84d777bc1cf5d6b7654a3f569c0aec74458ae094122ad1d0489900fc",
    ),
)


def _count(split: Role) -> int:
    return sum(sample.split == split for sample in SAMPLES)


_ALL = (
    Dataset(
        SAMPLES_NAME,
        "crops of the Kodak images, and photographs of scikit-image",
        len(SAMPLES),
        "free, stated per image",
        splits=(
            Split("train", _count("train")),
            Split("validation", _count("validation")),
            Split("test", _count("test")),
        ),
    ),
    Dataset("set5", "Set5 (Bevilacqua et al., 2012)", 5, _ACADEMIC, downloads=_benchmark("Set5", 5)),
    Dataset("set14", "Set14 (Zeyde et al., 2010)", 14, _ACADEMIC, downloads=_benchmark("Set14", 14)),
    Dataset("bsd100", "B100: the val part of BSDS500, a test set", 100, _BSDS_TERMS, downloads=_bsds500("val", 100)),
    Dataset("urban100", "Urban100 (Huang et al., 2015)", 100, _ACADEMIC, downloads=_benchmark("Urban100", 100)),
    Dataset(
        "t91",
        "T91 (Yang et al., 2010)",
        91,
        _ACADEMIC,
        by_hand="the 91 training images come in ScSR.rar from the authors "
        "(http://www.ifp.illinois.edu/~jyang29/codes/ScSR.rar, folder Data/Training)",
    ),
    Dataset("bsds200", "the train part of BSDS500", 200, _BSDS_TERMS, downloads=_bsds500("train", 200)),
    Dataset("bsds200_test", "the test part of BSDS500", 200, _BSDS_TERMS, downloads=_bsds500("test", 200)),
    Dataset(
        "div2k",
        "DIV2K, high resolution (Agustsson and Timofte, 2017)",
        900,
        "academic research only",
        splits=(Split("train", 800), Split("validation", 100)),
        downloads=_DIV2K,
    ),
)

DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in _ALL}


def dataset(name: str) -> Dataset:
    """Return the dataset with this name; raise `DataError` with the nearest valid name if it is unknown."""
    if name not in DATASETS:
        raise unknown_name("dataset", name, DATASETS, DataError)
    return DATASETS[name]


def resolve(spec: str, role: Role | None = None) -> ImageSet:
    """Find the images that `spec` names, sorted by file name.

    A specification is `NAME`, `NAME/SPLIT` or the path of a folder, for all images in it and its subfolders, each
    optionally followed by a Python slice: `set5`, `samples/train[2:5]`, `bsds200_test[:20]`, `./photos[::2]`. A dataset
    takes precedence over a folder of the same name; write `./set5` for the folder. The name of a dataset with splits
    means the split of `role`, or all its images if `role` is None.

    Raises:
        DataError: An unknown name or split, a missing folder, a dataset with the wrong number of images, a malformed
            slice or an empty selection.
    """
    body, chosen = _parse(spec)
    head, _, tail = body.partition("/")
    if head in DATASETS:
        paths = _dataset_images(DATASETS[head], tail, role)
    elif body and (os.sep in body or "/" in body or expanded(body).exists()):
        paths = _folder_images(expanded(body))
    else:
        raise unknown_name("dataset", body, DATASETS, DataError)
    selected = tuple(paths[chosen])
    if not selected:
        raise DataError(f"{spec}: selects none of the {len(paths)} images")
    return ImageSet(spec, selected, frozenset(selected if head in DATASETS else ()))


def resolve_all(specs: Sequence[str], role: Role | None = None) -> ImageSet:
    """Return the images of several specifications as one set, each image once, in order of first mention."""
    sets = [resolve(spec, role) for spec in specs]
    paths = dict.fromkeys(path for images in sets for path in images.paths)
    name = " + ".join(images.name for images in sets)
    return ImageSet(name, tuple(paths), frozenset().union(*(images.published for images in sets)))


def _parse(spec: str) -> tuple[str, slice]:
    """Split `spec` into its name or path and its slice."""
    if not spec.endswith("]") or expanded(spec).is_dir():
        return spec, slice(None)
    found = re.fullmatch(r"(?P<body>.+)\[(?P<start>-?\d+)?:(?P<stop>-?\d+)?(?::(?P<step>-?\d+)?)?\]", spec)
    if not found or (found["step"] and int(found["step"]) == 0):
        raise DataError(f"{spec}: the part in brackets must be a Python slice such as [:20], [2:5] or [::2]")
    start, stop, step = (int(part) if part else None for part in found.group("start", "stop", "step"))
    return found["body"], slice(start, stop, step)


def _dataset_images(entry: Dataset, split: str, role: Role | None) -> list[Path]:
    by_name: dict[str, Split] = {part.name: part for part in entry.splits}
    wanted: list[Split | None]
    if split:
        if not by_name:
            raise DataError(f"dataset {entry.name!r} has no splits, so {split!r} is not one of them")
        if split not in by_name:
            raise unknown_name(f"split of {entry.name}", split, by_name, DataError)
        wanted = [by_name[split]]
    elif by_name and role is not None:
        if role not in by_name:
            choices = " or ".join(f"{entry.name}/{name}" for name in by_name)
            raise DataError(f"dataset {entry.name!r} has no {role} split: write {choices}")
        wanted = [by_name[role]]
    else:
        wanted = list(entry.splits) or [None]
    found = [path for part in wanted for path in _split_images(entry, part)]
    return found if len(wanted) == 1 else sorted(found, key=lambda path: path.name)


def _split_images(entry: Dataset, split: Split | None) -> list[Path]:
    if entry.name == SAMPLES_NAME:
        return [sample.path for sample in SAMPLES if split is None or sample.split == split.name]
    folder = entry.folder(split.name if split else None)
    if not folder.is_dir():
        raise DataError(
            f"dataset {entry.name!r} is not in {folder}: run 'nitido data fetch {entry.name}', "
            f"or set $NITIDO_DATA to the folder that contains {entry.name}/"
        )
    paths = images_in(folder)
    expected = split.count if split else entry.count
    if len(paths) != expected:
        raise DataError(f"dataset {entry.name!r} has {expected} images, but {folder} contains {len(paths)}")
    return paths


def _folder_images(folder: Path) -> list[Path]:
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: a file, but a folder is required")
    if not folder.is_dir():
        guess = nearest(folder.parts[0] if folder.parts else "", DATASETS)
        hint = f" (did you mean the dataset {guess!r}?)" if guess else ""
        raise DataError(f"no folder {str(folder)!r}{hint}")
    from nitido.imaging import ImageFileError, find_images

    try:
        return find_images(folder)
    except ImageFileError as error:
        raise DataError(str(error)) from None


def images_in(folder: Path) -> list[Path]:
    """Return the image files in `folder`, without subfolders, sorted by name; an empty list if there are none."""
    from nitido.imaging import walk

    return walk(folder, recursive=False).images if folder.is_dir() else []


def _scikit_image_folder() -> Path:
    found = find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        raise DataError(
            "scikit-image, which contains a part of the dataset 'samples', is not installed: pip install scikit-image"
        )
    return Path(found.submodule_search_locations[0]) / "data"
