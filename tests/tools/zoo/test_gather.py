"""Folders of images for the zoo: what is taken of Debian's wallpapers, under whose name, and smaller ones."""

import json
from pathlib import Path, PurePath

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from nitido.base.errors import NitidoError
from nitido.imaging import bicubic_downscale, load_image
from nitido.models.zoo.shipped import ZooError
from tests.forked import ForkServer
from tools.zoo.credits import Credit, image_set_note, read_credits
from tools.zoo.debian_copyright import Terms, read_copyright
from tools.zoo.gather import LICENCES, gather_smaller, gather_wallpapers, is_accepted
from tools.zoo.shrinking import LARGEST, flat_share, shrunk
from tools.zoo.wallpapers import find_wallpapers

FORMAT = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"

LOMIRI = f"""{FORMAT}Upstream-Name: lomiri-wallpapers
Source: https://example.org/lomiri

Files: 16.04/tower_by_Jo.jpg
Copyright: Jo Doe, 2018
License: CC-BY-4.0

Files: 16.04/paid.jpg
Copyright: Jo Doe, 2018
License: CC-BY-NC-4.0

Files: debian/*
 AUTHORS
Copyright: 2022, The Packager <packager@example.org>
License: Expat

License: Expat
 Permission is hereby granted
 .
 in many words.
"""

MATE = f"""{FORMAT}
Files: nature/Elephants*.jpg
       nature/Lake.png
Copyright: 2008, Wyng One <wyng@example.org>
           2010-2012, Wyng Two
License: GPL-2+


Files: nature/Lake.png
Copyright: 2014 Lake Painter http://example.org/
License: CC0-1.0
Comment: the later stanza counts

Files: desktop/*.png
Copyright: 2015, A Drawer
License: GPL-2+
"""

PLASMA = f"""
{FORMAT}Source: https://example.org/plasma

Files: *
Copyright: 2014 The Design Group
License: GPL-2+
"""


def texture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Noise in blobs of 8 pixels, which stays after images are shrunk."""
    rng = np.random.default_rng(seed)
    blobs = rng.integers(0, 256, (-(-height // 8), -(-width // 8), 3), np.uint8)
    return np.kron(blobs, np.ones((8, 8, 1), np.uint8))[:height, :width]


def save(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    packages = {
        "lomiri-wallpapers-16.04": LOMIRI,
        "mate-backgrounds": MATE,
        "plasma-workspace-wallpapers": PLASMA,
    }
    for package, text in packages.items():
        folder = root / "usr/share/doc" / package
        folder.mkdir(parents=True)
        (folder / "copyright").write_text(text, encoding="utf-8")
    backgrounds, wallpapers = root / "usr/share/backgrounds", root / "usr/share/wallpapers"
    save(backgrounds / "tower_by_Jo.jpg", texture(96, 128))
    save(backgrounds / "paid.jpg", texture(96, 128, 1))
    save(backgrounds / "mate/nature/Elephants.jpg", texture(64, 64, 2))
    save(backgrounds / "mate/nature/Elephants_128x160.jpg", texture(160, 128, 2))
    save(backgrounds / "mate/nature/Lake.png", texture(64, 96, 3))
    gradient = np.linspace(90, 150, 256)[None, :, None] * np.ones((128, 1, 3))
    save(backgrounds / "mate/desktop/Gradient.png", gradient.astype(np.uint8))
    glass = np.dstack([texture(96, 96, 4), np.full((96, 96), 200, np.uint8)])
    save(backgrounds / "mate/desktop/Glass.png", glass)
    save(wallpapers / "Kay/contents/images/128x96.png", texture(96, 128, 5))
    save(wallpapers / "Kay/contents/images/64x64.png", texture(64, 64, 5))
    save(wallpapers / "Kay/contents/images_dark/96x96.png", texture(96, 96, 6))
    save(wallpapers / "Kay/contents/screenshot.png", texture(400, 400, 5))
    (wallpapers / "Kay/contents/images/640x480.png").symlink_to("128x96.png")
    kay = {"KPlugin": {"Name": "Kay's", "License": "CC-BY-SA-4.0", "Authors": [{"Name": "ruv"}, {"Name": "Zoë"}]}}
    (wallpapers / "Kay/metadata.json").write_text(json.dumps(kay), encoding="utf-8")
    save(wallpapers / "Old/contents/images/96x96.png", texture(96, 96, 7))
    (wallpapers / "Old/metadata.desktop").write_text(
        "[Desktop Entry]\nName=Old one\nX-KDE-PluginInfo-Author=Lou\nX-KDE-PluginInfo-License=LGPLv3\n"
    )
    save(wallpapers / "Plain/contents/images/96x96.png", texture(96, 96, 8))
    return root


def gather(root: Path, out: Path, *, halves: bool = False) -> list[str]:
    heard: list[str] = []
    gather_wallpapers(root, out, LICENCES, halves, heard.append)
    return heard


def test_one_file_of_each_motif_with_its_own_terms(root: Path) -> None:
    lomiri, plasma = "https://example.org/lomiri", "https://example.org/plasma"
    mate = "https://packages.debian.org/mate-backgrounds"
    backgrounds, wallpapers = "usr/share/backgrounds", "usr/share/wallpapers"
    assert [found.credit for found in find_wallpapers(root)] == [
        Credit(f"{backgrounds}/paid.jpg", "paid", "Jo Doe", "CC-BY-NC-4.0", lomiri),
        Credit(f"{backgrounds}/tower_by_Jo.jpg", "tower by Jo", "Jo Doe", "CC-BY-4.0", lomiri),
        Credit(f"{backgrounds}/mate/desktop/Glass.png", "Glass", "A Drawer", "GPL-2+", mate),
        Credit(f"{backgrounds}/mate/desktop/Gradient.png", "Gradient", "A Drawer", "GPL-2+", mate),
        Credit(f"{backgrounds}/mate/nature/Elephants_128x160.jpg", "Elephants", "Wyng One, Wyng Two", "GPL-2+", mate),
        Credit(f"{backgrounds}/mate/nature/Lake.png", "Lake", "Lake Painter", "CC0-1.0", mate),
        Credit(f"{wallpapers}/Kay/contents/images/128x96.png", "Kay's", "ruv, Zoë", "CC-BY-SA-4.0", plasma),
        Credit(f"{wallpapers}/Old/contents/images/96x96.png", "Old one", "Lou", "LGPLv3", plasma),
        Credit(f"{wallpapers}/Plain/contents/images/96x96.png", "Plain", "The Design Group", "GPL-2+", plasma),
    ]


def test_where_dpkg_has_lists_other_packages_images_are_not_taken(root: Path) -> None:
    info = root / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    (info / "lomiri-wallpapers-16.04.list").write_text("/.\n/usr/share/backgrounds/tower_by_Jo.jpg\n")
    (info / "mate-backgrounds.list").write_text("/usr/share/backgrounds/mate/nature/Lake.png\n")
    (info / "plasma-workspace-wallpapers.list").write_text("/usr/share/wallpapers/Plain/contents/images/96x96.png\n")
    assert [found.credit.title for found in find_wallpapers(root)] == ["tower by Jo", "Lake", "Plain"]


def test_what_is_left_out_and_why(root: Path, tmp_path: Path) -> None:
    heard = gather(root, tmp_path / "out")
    assert [line.rpartition("/")[2] for line in heard] == [
        "paid.jpg: licence CC-BY-NC-4.0",
        "Glass.png: transparent in part",
        "Gradient.png: 100% of it is flat",
        "96x96.png: licence LGPLv3",
    ]


def test_the_folder_is_one_that_a_card_can_credit(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    gather(root, out, halves=True)
    note = image_set_note(str(out), "train")
    assert (note.count, note.terms) == (10, "stated per image")
    assert [(credit.file, credit.title, credit.licence) for credit in note.credits[:4]] == [
        ("001-half.png", "tower by Jo", "CC-BY-4.0"),
        ("001.png", "tower by Jo", "CC-BY-4.0"),
        ("002-half.png", "Elephants", "GPL-2+"),
        ("002.png", "Elephants", "GPL-2+"),
    ]
    lake = bicubic_downscale(texture(64, 96, 3), 2)
    assert np.array_equal(load_image(out / "003.png").pixels, lake)
    assert np.array_equal(load_image(out / "003-half.png").pixels, bicubic_downscale(lake, 2))


def test_a_folder_made_smaller(tmp_path: Path) -> None:
    folder, out = tmp_path / "photos", tmp_path / "out"
    save(folder / "a.png", texture(36, 48))
    save(folder / "b.png", texture(32, 32, 1))
    (folder / "SOURCES.tsv").write_text("a.png\thttps://example.org/A_tower.jpg\nb.png\tB\tJo\tCC0-1.0\thttps://b\n")
    assert str(gather_smaller(folder, out, [1.5, 2])) == "4 images, 0.0 megapixels"
    names = ["a-by-1.5.png", "a-by-2.png", "b-by-1.5.png", "b-by-2.png"]
    assert sorted(path.name for path in out.glob("*.png")) == names
    assert np.array_equal(load_image(out / "a-by-2.png").pixels, bicubic_downscale(texture(36, 48), 2))
    assert load_image(out / "a-by-1.5.png").pixels.shape == (24, 32, 3)
    assert read_credits([out / name for name in names]) == (
        Credit("a-by-1.5.png", "A tower", page="https://example.org/A_tower.jpg"),
        Credit("a-by-2.png", "A tower", page="https://example.org/A_tower.jpg"),
        Credit("b-by-1.5.png", "B", "Jo", "CC0-1.0", "https://b"),
        Credit("b-by-2.png", "B", "Jo", "CC0-1.0", "https://b"),
    )


def test_a_folder_without_sources_made_smaller(tmp_path: Path) -> None:
    save(tmp_path / "photos/a.png", texture(32, 40))
    gather_smaller(tmp_path / "photos", tmp_path / "out", [2])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a-by-2.png"]


@pytest.mark.parametrize("factor", [1, 0.5, 0, -2, float("nan"), float("inf")])
def test_what_does_not_shrink_is_refused(tmp_path: Path, factor: float) -> None:
    save(tmp_path / "photos/a.png", texture(32, 40))
    with pytest.raises(ZooError, match="must be more than 1"):
        gather_smaller(tmp_path / "photos", tmp_path / "out", [2, factor])
    assert not (tmp_path / "out").exists()


def test_large_images_are_shrunk_until_they_are_small() -> None:
    image = texture(2900, 3600)
    small = shrunk(image)
    assert small.shape == (725, 900, 3)
    assert LARGEST < 1450 * 1800
    assert shrunk(texture(2700, 3600)).shape == (1350, 1800, 3)


def test_the_share_of_flat_blocks() -> None:
    half_flat = np.concatenate([texture(32, 64), np.full((32, 64, 3), 120, np.uint8)])
    assert flat_share(half_flat) == 0.5
    assert flat_share(texture(15, 200)) == 1.0


@pytest.mark.parametrize(
    ("licence", "accepted"),
    [
        ("CC0-1.0", True),
        ("CC-BY-SA-3.0", True),
        ("GPL-2+", True),
        ("GPL-22", False),
        ("CC-BY-ND-4.0", False),
        ("CC-BY-NC-SA-4.0", False),
        ("CC-BY-4.0 and NonFree", False),
        ("", False),
    ],
)
def test_licences(licence: str, accepted: bool) -> None:
    assert is_accepted(licence, LICENCES) is accepted


def test_patterns_of_other_places_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "copyright").write_text(LOMIRI)
    stated = read_copyright(tmp_path / "copyright")
    assert stated.terms(PurePath("usr/share/backgrounds/unknown.jpg")) == Terms()
    assert stated.terms(PurePath("usr/share/backgrounds/tower_by_Jo.jpg")) == Terms("Jo Doe", "CC-BY-4.0")


def test_a_copyright_file_for_people_alone_is_refused(root: Path) -> None:
    path = root / "usr/share/doc/mate-backgrounds/copyright"
    path.write_text("This package was debianised by somebody.\n\nIt is under the GPL.\n")
    with pytest.raises(ZooError, match=f"{path}: not a machine-readable copyright file"):
        find_wallpapers(root)


def test_metadata_that_cannot_be_read(root: Path) -> None:
    (root / "usr/share/wallpapers/Kay/metadata.json").write_text("{")
    with pytest.raises(ZooError, match=r"Kay/metadata\.json: cannot read its"):
        find_wallpapers(root)


def test_images_that_are_gone(root: Path) -> None:
    for path in (root / "usr/share/wallpapers").rglob("*.png"):
        path.unlink()
    with pytest.raises(ZooError, match="apt install --reinstall plasma-workspace-wallpapers"):
        find_wallpapers(root)


def test_nothing_under_the_licences(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ZooError, match="every wallpaper is left out under the licences WTFPL"):
        gather_wallpapers(root, tmp_path / "out", ["WTFPL"], False, lambda line: None)


def test_a_factor_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "photos/a.png", texture(32, 40))
    with pytest.raises(ZooError, match="shrunk by 2, 3, 2: each factor once"):
        gather_smaller(tmp_path / "photos", tmp_path / "out", [2, 3, 2])
    assert not (tmp_path / "out").exists()


def test_smaller_ones_that_would_have_one_name(tmp_path: Path) -> None:
    save(tmp_path / "photos/a.png", texture(32, 32))
    save(tmp_path / "photos/a.jpg", texture(32, 32))
    with pytest.raises(NitidoError, match="several images are called a"):
        gather_smaller(tmp_path / "photos", tmp_path / "out", [2])


def test_a_folder_in_use_is_left_alone(root: Path, tmp_path: Path) -> None:
    save(tmp_path / "out/mine.png", texture(32, 32))
    with pytest.raises(ZooError, match="out: not empty"):
        gather(root, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.png"]


COMMAND = "from tools.zoo.gather import main; main()"


def test_the_command(fork_server: ForkServer, root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("wallpapers", out, "--root", root, "--licences", "LGPLv3, CC0-1.0")
    done = fork_server.python(COMMAND, *words, cwd=tmp_path)
    assert done.code == 0, done
    assert done.out.splitlines()[-1] == f"{out}: 2 images, 0.0 megapixels"
    assert [credit.licence for credit in image_set_note(str(out), "train").credits] == ["CC0-1.0", "LGPLv3"]


def test_the_command_says_what_to_install(fork_server: ForkServer, tmp_path: Path) -> None:
    done = fork_server.python(COMMAND, "wallpapers", tmp_path / "out", "--root", tmp_path, cwd=tmp_path)
    packages = "lomiri-wallpapers-16.04 mate-backgrounds plasma-workspace-wallpapers"
    assert done.code == 1
    assert done.err == (f"nitido: {tmp_path}: no wallpapers of {packages.replace(' ', ', ')}: apt install {packages}\n")
    assert not (tmp_path / "out").exists()
