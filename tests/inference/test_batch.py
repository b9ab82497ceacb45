"""Folders of pictures: places, names, what is done already, what fails, and what a stopped batch leaves."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image
from skimage import data
from tests.architectures.recipes import Recipe
from torch import Tensor
from torch.nn.functional import interpolate

from nitido.architectures import SuperResolutionNetwork
from nitido.errors import NitidoError
from nitido.exclusive import BusyError
from nitido.imaging import PictureError, bicubic_upscale
from nitido.inference import ModelDescriptor, save_model
from nitido.inference.batch import Job, Settings, model_identity, plan, run
from nitido.inference.manifest import MANIFEST
from nitido.inference.pictures.target_size import TargetSize, UpscaleError
from nitido.inference.pieces import CUT_SMALLER
from nitido.inference.upscaler import Upscaler
from nitido.inference.working_memory import PROBE

PHOTO = data.astronaut()[40:64, 180:212]


class Diary:
    """A listener that writes down what it hears."""

    def __init__(self) -> None:
        self.ended_: list[str] = []
        self.skipped_: list[str] = []
        self.failed_: list[str] = []
        self.notes: list[str] = []
        self.pixels = 0
        self.heard = 0.0

    def planned(self, pixels: int) -> None:
        self.pixels = pixels

    def started(self, job: Job, pixels: int):
        def advance(share: float) -> None:
            self.heard += share * pixels

        return advance

    def ended(self, job: Job, outcome: str, notes: Sequence[str]) -> None:
        self.ended_.append(job.target.name)
        self.notes += notes

    def skipped(self, job: Job, pixels: int) -> None:
        self.skipped_.append(job.target.name)

    def failed(self, job: Job, error: NitidoError) -> None:
        self.failed_.append(str(error))


def make(*paths: Path) -> None:
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(PHOTO, number, axis=0)).save(path)


def bicubic(scale: float = 2) -> Settings:
    return Settings(Upscaler(None), "bicubic", TargetSize(scale))


def below(folder: Path) -> list[str]:
    return sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file() and not f.name.startswith("."))


def test_a_folder_keeps_its_structure(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    make(photos / "a.png", photos / "a.jpg", photos / "deep" / "er" / "A.PNG", photos / ".hidden" / "b.png")
    (photos / "notes.txt").write_text("not a picture")
    (photos / "deep" / "moving.gif").write_bytes(b"GIF89a")
    diary = Diary()
    planned = plan([photos], out)
    assert [file.name for file in planned.others] == ["moving.gif", "notes.txt"]
    assert run(planned, bicubic(), diary) == 0
    assert below(out) == ["a.jpg", "a.png", "deep/er/A.PNG"]
    np.testing.assert_array_equal(
        np.asarray(Image.open(out / "a.png")), bicubic_upscale(np.asarray(Image.open(photos / "a.png")), 2)
    )
    assert diary.pixels == diary.heard == 3 * PHOTO.shape[0] * PHOTO.shape[1]


def test_names_never_collide(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    make(photos / "a.jpg", photos / "a.png", photos / "b.jpg", photos / "sub" / "a.jpg", photos / "A.bmp")
    planned = plan([photos], out, ".png")
    names = {str(job.source.relative_to(photos)): str(job.target.relative_to(out)) for job in planned.jobs}
    assert names == {
        "a.jpg": "a.jpg.png",
        "a.png": "a.png.png",
        "A.bmp": "A.bmp.png",
        "b.jpg": "b.png",
        "sub/a.jpg": "sub/a.png",
    }
    make(tmp_path / "other" / "a.jpg")
    with pytest.raises(PictureError, match=r"other/a.jpg and .*photos/a.jpg would both become .*out/a.jpg"):
        plan([photos / "a.jpg", tmp_path / "other" / "a.jpg"], out)
    both = plan([photos, tmp_path / "other"], out)
    assert out / "other" / "a.jpg" in {job.target for job in both.jobs}
    assert out / "photos" / "sub" / "a.jpg" in {job.target for job in both.jobs}


def test_no_source_is_overwritten_and_results_are_no_sources(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    make(photos / "a.png")
    for out in (photos, photos / "a.png"):
        with pytest.raises(PictureError, match=r"would overwrite a picture|a file is in the way"):
            plan([photos / "a.png"], out)
    assert run(plan([photos], photos / "large"), bicubic(), Diary()) == 0
    (photos / "large" / "report.txt").write_text("not a picture")
    again = plan([photos], photos / "large")
    assert (len(again.jobs), again.others) == (1, [])


def test_finished_pictures_are_skipped_and_only_they(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    make(photos / "a.png", photos / "b.png", photos / "c.png", photos / "d.png")

    def again(settings: Settings | None = None) -> Diary:
        diary = Diary()
        assert run(plan([photos], out), settings or bicubic(), diary) == 0
        return diary

    assert again().ended_ == ["a.png", "b.png", "c.png", "d.png"]
    assert again().skipped_ == ["a.png", "b.png", "c.png", "d.png"]
    make(photos / "x.png", photos / "a.png")  # another content
    (out / "b.png").unlink()
    (out / "c.png").write_bytes((out / "c.png").read_bytes()[:-9])
    os.utime(photos / "d.png")
    diary = again()
    assert (diary.ended_, diary.skipped_) == (["a.png", "b.png", "c.png", "x.png"], ["d.png"])
    assert not again(bicubic(3)).skipped_
    assert again(bicubic(3)).ended_ == []


def test_other_weights_are_another_model(tmp_path: Path) -> None:
    make(tmp_path / "a.png")
    files = []
    for seed in ("one", "two"):
        network = Recipe("srcnn", "debug").build()
        network.reconstruction.bias.data += len(files)
        files.append(tmp_path / f"{seed}.safetensors")
        save_model(files[-1], network, ModelDescriptor.of(network, "srcnn", "tiny"))
    assert model_identity(files[0]) != model_identity(files[1])
    shutil.copy(files[0], tmp_path / "copy.safetensors")
    assert model_identity(files[0]) == model_identity(tmp_path / "copy.safetensors")


def test_a_torn_manifest_costs_one_picture(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    make(photos / "a.png", photos / "b.png")
    run(plan([photos], out), bicubic(), Diary())
    manifest = out / MANIFEST
    manifest.write_bytes(manifest.read_bytes()[:-30])
    diary = Diary()
    run(plan([photos], out), bicubic(), diary)
    assert (diary.skipped_, diary.ended_) == (["a.png"], ["b.png"])
    diary = Diary()
    run(plan([photos], out), bicubic(), diary)
    assert diary.skipped_ == ["a.png", "b.png"]


def test_one_bad_file_does_not_stop_the_rest(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    make(photos / "a.png", photos / "c.png", photos / "d.webp")
    (photos / "b.png").write_text("not a picture")
    (photos / "broken.png").write_bytes((photos / "a.png").read_bytes()[:-200])
    diary = Diary()
    assert run(plan([photos], out), bicubic(), diary) == 2
    assert sorted(diary.ended_) == ["a.png", "c.png", "d.webp"]
    assert [str(photos / name) in line for name, line in zip(["b.png", "broken.png"], diary.failed_, strict=True)]
    assert below(out) == ["a.png", "c.png", "d.webp"]


def test_one_batch_at_a_time_in_a_folder(tmp_path: Path) -> None:
    make(tmp_path / "a.png")
    out = tmp_path / "out"
    out.mkdir()
    with FileLock(out / ".lock"), pytest.raises(BusyError):
        run(plan([tmp_path / "a.png"], out), bicubic(), Diary())


@pytest.mark.parametrize(
    ("inputs", "out", "message"),
    [
        (["missing"], "out", "missing: no such file or folder"),
        (["empty"], "out", "empty: no pictures in this folder"),
        (["a.png", "b.png"], "c.png", "c.png: several pictures need a folder"),
        (["empty", "a.png"], "b.png", "b.png: a file is in the way of the output folder"),
    ],
)
def test_impossible_plans(tmp_path: Path, inputs: list[str], out: str, message: str) -> None:
    make(tmp_path / "a.png", tmp_path / "b.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PictureError, match=message):
        plan([tmp_path / name for name in inputs], tmp_path / out)


def test_bicubic_must_be_told_how_large() -> None:
    with pytest.raises(UpscaleError, match="bicubic has no scale of its own"):
        Settings(Upscaler(None), "bicubic")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_killed_batch_leaves_whole_files_and_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for n in range(20):
        Image.fromarray(np.roll(data.astronaut()[:200, :200], n, axis=0)).save(photos / f"{n:02}.png")
    command = [sys.executable, "-m", "nitido", "upscale", photos, "-o", out, "--model", "bicubic", "--scale", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not list(out.glob("*.png")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "nitido: interrupted: the same command goes on"
    left = [file for file in out.iterdir() if file.name not in (".lock", MANIFEST)]
    assert 1 <= len(left) < 20
    for file in left:
        assert not file.name.startswith(".")
        Image.open(file).load()
    diary = Diary()
    assert run(plan([photos], out), bicubic(5), diary) == 0
    assert len(diary.skipped_) >= len(left) - 1
    assert len(below(out)) == 20


def test_what_was_done_otherwise_is_said_once_for_each_picture(tmp_path: Path) -> None:
    class Greedy(SuperResolutionNetwork):
        def forward(self, lr: Tensor) -> Tensor:
            if max(lr.shape[-2:]) > 16:
                torch.empty(10**15 if lr.shape[-2:] != (PROBE, PROBE) else 1)
            return interpolate(lr, scale_factor=2, mode="nearest")

    make(tmp_path / "photos" / "a.png", tmp_path / "photos" / "b.png")
    settings = Settings(Upscaler(Greedy(Recipe("srcnn", "debug").build().config, 0)), "greedy")
    diary = Diary()
    assert run(plan([tmp_path / "photos"], tmp_path / "out"), settings, diary) == 0
    assert diary.notes == [CUT_SMALLER, CUT_SMALLER]


def test_memory_does_not_grow_with_the_batch(tmp_path: Path) -> None:
    code = (
        "import resource, sys\nfrom pathlib import Path\n"
        "from tests.inference.test_batch import Diary, bicubic\nfrom nitido.inference.batch import plan, run\n"
        "photos, out = Path(sys.argv[1]), Path(sys.argv[2])\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        # As many as three pictures are held at once, which is so at some time in the first twelve.
        "for number in range(3): run(plan([photos], out / f'warm{number}'), bicubic(4), Diary())\nbefore = peak()\n"
        "for number in range(3): run(plan([photos], out / str(number)), bicubic(4), Diary())\n"
        "print(peak() - before)\n"
    )
    (tmp_path / "photos").mkdir()
    for n in range(4):
        Image.fromarray(data.astronaut()).save(tmp_path / "photos" / f"{n}.bmp")
    arguments = [sys.executable, "-c", code, str(tmp_path / "photos"), str(tmp_path / "out")]
    root = Path(__file__).parents[2]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, cwd=root)
    one_result = 2048 * 2048 * 3 / 1024
    assert int(done.stdout) < 3 * one_result  # of 12 results more
