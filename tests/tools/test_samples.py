"""The crops of the Kodak images are those that the tool makes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from nitido.data.catalog import SAMPLES_FOLDER
from tools.samples import README, crops, readme


def test_the_crops_are_parts_of_the_kodak_images(shared: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.samples", str(shared / "data" / "kodak"), "--out", str(tmp_path / "made")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for sample, number, box in crops():
        whole = np.array(Image.open(shared / "data" / "kodak" / f"kodim{number:02}.png").convert("RGB"))
        part = whole[box.top : box.top + box.height, box.left : box.left + box.width]
        assert part.shape == (box.height, box.width, 3)
        for path in (tmp_path / "made" / sample.file, sample.path):
            np.testing.assert_array_equal(np.array(Image.open(path)), part, err_msg=str(path))


def test_the_readme_states_the_source_the_licence_and_every_crop() -> None:
    text = (SAMPLES_FOLDER / README).read_text(encoding="utf-8")
    assert text == readme()
    assert "<https://r0k.us/graphics/kodak/>" in text
    assert "released by the Eastman Kodak Company for unrestricted use" in text
    assert all(f"| {sample.file} | kodim{number:02} |" in text for sample, number, _ in crops())


def test_a_missing_kodak_image_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.samples", str(tmp_path), "--out", str(tmp_path / "made")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"nitido: {tmp_path / 'kodim01.png'}: No such file or directory\n"
