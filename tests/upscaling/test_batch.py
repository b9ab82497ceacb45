"""Tests batches: folders, names, finished results, failures and interruptions."""

import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image
from skimage import data
from torch import Tensor
from torch.nn.functional import interpolate

from nitido.architectures import SuperResolutionNetwork
from nitido.base.errors import NitidoError
from nitido.base.locks import BusyError
from nitido.imaging import ImageFileError, bicubic_upscale
from nitido.models import ModelDescriptor, save_model
from nitido.models.working_memory import PROBE
from nitido.upscaling.batch import Job, Settings, model_identity, plan, run
from nitido.upscaling.images.target_size import TargetSize, UpscaleError
from nitido.upscaling.manifest import MANIFEST
from nitido.upscaling.tiled_inference import CUT_SMALLER
from nitido.upscaling.upscaler import ImageUpscaler
from tests.architectures.recipes import Recipe
from tests.forked import ForkServer

PHOTO = data.astronaut()[40:64, 180:212]


class Diary:
    """A listener that records its calls."""

    def __init__(self) -> None:
        self.ended_: list[str] = []
        self.skipped_: list[str] = []
        self.failed_: list[str] = []
        self.notes: list[str] = []
        self.left_: list[str] = []
        self.warned_: list[str] = []
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

    def left(self, job: Job) -> None:
        self.left_.append(job.target.name)

    def warned(self, text: str) -> None:
        self.warned_.append(text)

    def failed(self, job: Job, error: NitidoError) -> None:
        self.failed_.append(str(error))


def make(*paths: Path) -> None:
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(PHOTO, number, axis=0)).save(path)


def bicubic(scale: float = 2) -> Settings:
    return Settings(ImageUpscaler(None), "bicubic", TargetSize(scale))


def below(folder: Path) -> list[str]:
    return sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file() and not f.name.startswith("."))


def test_a_folder_keeps_its_structure(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    make(photos / "a.png", photos / "a.jpg", photos / "deep" / "er" / "A.PNG", photos / ".hidden" / "b.png")
    (photos / "notes.txt").write_text("not an image")
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
    with pytest.raises(ImageFileError, match=r"other/a.jpg and .*photos/a.jpg would both become .*out/a.jpg"):
        plan([photos / "a.jpg", tmp_path / "other" / "a.jpg"], out)
    both = plan([photos, tmp_path / "other"], out)
    assert out / "other" / "a.jpg" in {job.target for job in both.jobs}
    assert out / "photos" / "sub" / "a.jpg" in {job.target for job in both.jobs}


def test_no_source_is_overwritten_and_results_are_no_sources(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    make(photos / "a.png")
    for out in (photos, photos / "a.png"):
        with pytest.raises(ImageFileError, match=r"would overwrite an input image|the output is a file"):
            plan([photos / "a.png"], out)
    assert run(plan([photos], photos / "large"), bicubic(), Diary()) == 0
    (photos / "large" / "report.txt").write_text("not an image")
    again = plan([photos], photos / "large")
    assert (len(again.jobs), again.others) == (1, [])


def test_only_finished_images_are_skipped(tmp_path: Path) -> None:
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
    with pytest.raises(UpscaleError, match=r"out/c.png: already exists and was not written by this command"):
        again()
    (out / "c.png").unlink()
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


def test_a_truncated_manifest_costs_one_image(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    make(photos / "a.png", photos / "b.png")
    run(plan([photos], out), bicubic(), Diary())
    manifest = out / MANIFEST
    manifest.write_bytes(manifest.read_bytes()[:-30])
    with pytest.raises(UpscaleError, match=r"out/b.png: already exists"):
        run(plan([photos], out), bicubic(), Diary())
    diary = Diary()
    run(plan([photos], out), bicubic(), diary, "overwrite")
    assert (diary.skipped_, diary.ended_) == (["a.png"], ["b.png"])
    diary = Diary()
    run(plan([photos], out), bicubic(), diary)
    assert diary.skipped_ == ["a.png", "b.png"]


@pytest.mark.parametrize("again", [2, 3])
def test_a_foreign_file_with_the_name_of_a_result_is_kept(tmp_path: Path, again: float) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    make(photos / "a.png", photos / "b.png")
    run(plan([photos], out), bicubic(), Diary())
    make(tmp_path / "x.png", out / "b.png")
    mine = (out / "b.png").read_bytes()
    with pytest.raises(UpscaleError, match=r"out/b.png: already exists and was not written by this command"):
        run(plan([photos], out), bicubic(again), Diary())
    assert (out / "b.png").read_bytes() == mine
    diary = Diary()
    run(plan([photos], out), bicubic(again), diary, "skip")
    assert diary.left_ == ["b.png"]
    assert (out / "b.png").read_bytes() == mine


def test_a_foreign_file_added_after_an_interruption_is_kept(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    make(photos / "a.png", photos / "b.png", photos / "c.png")

    class Stopped(Diary):
        def started(self, job: Job, pixels: int):
            if job.target.name == "c.png":
                raise KeyboardInterrupt
            return super().started(job, pixels)

    with pytest.raises(KeyboardInterrupt):
        run(plan([photos], out), bicubic(), Stopped())
    make(tmp_path / "x.png", out / "c.png")
    with pytest.raises(UpscaleError, match=r"out/c.png: already exists"):
        run(plan([photos], out), bicubic(), Diary())


def test_every_written_result_is_recognized(tmp_path: Path) -> None:
    """The result before the last is what a batch leaves that is killed just before it renames the new one."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    make(photos / "a.png")
    run(plan([photos], out), bicubic(), Diary())
    before = (out / "a.png").read_bytes()
    run(plan([photos], out), bicubic(3), Diary())
    (out / "a.png").write_bytes(before)
    diary = Diary()
    assert run(plan([photos], out), bicubic(3), diary) == 0
    assert diary.ended_ == ["a.png"]


def test_lines_of_earlier_versions_count_without_a_hash(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    make(photos / "a.png", out / "a.png")
    (out / MANIFEST).write_text('{"result": "a.png"}\n')
    diary = Diary()
    assert run(plan([photos], out), bicubic(), diary) == 0
    assert diary.ended_ == ["a.png"]


def test_a_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    make(photos / "a.png", photos / "c.png", photos / "d.webp")
    (photos / "b.png").write_text("not an image")
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
        (["empty"], "out", "empty: no images in this folder"),
        (["photos"], "photos", "photos: input and output are the same folder"),
        (["photos"], "link", "link: input and output are the same folder"),
        (["photos", "a.png"], "photos", "photos: input and output are the same folder"),
        (["a.png"], "o.jxl", r"o.jxl: .jxl cannot be written, only .png, .jpg"),
        (["a.png"], "o.HEIC", r"o.HEIC: .heic cannot be written"),
        (["a.png"], "o.pgn", r"o.pgn: .pgn cannot be written"),
        (["photos"], "o.gif", r"o.gif: .gif cannot be written"),
        (["a.png"], "dead", "dead: a broken link"),
        (["loop"], "out", "loop: no such file or folder"),
        (["a.png", "photos/a.png"], "out", "would both become .*out/a.png: rename one"),
        (["a.png", "b.png"], "c.png", "c.png: the name of an image, but a folder is required"),
        (["empty", "a.png"], "b.png", "b.png: the output is a file; a folder is required"),
    ],
)
def test_impossible_plans(tmp_path: Path, inputs: list[str], out: str, message: str) -> None:
    make(tmp_path / "a.png", tmp_path / "b.png")
    (tmp_path / "empty").mkdir()
    make(tmp_path / "photos" / "a.png")
    for link, to in (("link", "photos"), ("dead", "nowhere"), ("loop", "loop")):
        (tmp_path / link).symlink_to(to)
    with pytest.raises(ImageFileError, match=message):
        plan([tmp_path / name for name in inputs], tmp_path / out)


def test_bicubic_requires_a_size() -> None:
    with pytest.raises(UpscaleError, match="bicubic has no scale of its own"):
        Settings(ImageUpscaler(None), "bicubic")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_killed_batch_leaves_complete_files_and_can_be_resumed(
    fork_server: ForkServer, tmp_path: Path, number: signal.Signals
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for n in range(20):
        Image.fromarray(np.roll(data.astronaut()[:200, :200], n, axis=0)).save(photos / f"{n:02}.png")
    command = ["upscale", photos, "-o", out, "--model", "bicubic", "--scale", "5"]
    ended = fork_server.nitido(*command, cwd=tmp_path, signalled=(number, lambda: any(out.glob("*.png"))))
    assert ended.code == 130, ended
    assert ended.err.splitlines()[-1] == "nitido: interrupted: run the same command to resume"
    left = [file for file in out.iterdir() if file.name not in (".lock", MANIFEST)]
    assert 1 <= len(left) < 20
    for file in left:
        assert not file.name.startswith(".")
        Image.open(file).load()
    diary = Diary()
    assert run(plan([photos], out), bicubic(5), diary) == 0
    assert len(diary.skipped_) >= len(left) - 1
    assert len(below(out)) == 20


def test_fallbacks_are_reported_once_per_image(tmp_path: Path) -> None:
    class Greedy(SuperResolutionNetwork):
        def forward(self, lr: Tensor) -> Tensor:
            if max(lr.shape[-2:]) > 16:
                torch.empty(10**15 if lr.shape[-2:] != (PROBE, PROBE) else 1)
            return interpolate(lr, scale_factor=2, mode="nearest")

    make(tmp_path / "photos" / "a.png", tmp_path / "photos" / "b.png")
    settings = Settings(ImageUpscaler(Greedy(Recipe("srcnn", "debug").build().config, 0)), "greedy")
    diary = Diary()
    assert run(plan([tmp_path / "photos"], tmp_path / "out"), settings, diary) == 0
    assert diary.notes == [CUT_SMALLER, CUT_SMALLER]


def test_memory_does_not_grow_with_the_batch(fork_server: ForkServer, tmp_path: Path) -> None:
    code = (
        "import resource, sys\nfrom pathlib import Path\n"
        "from tests.upscaling.test_batch import Diary, bicubic\nfrom nitido.upscaling.batch import plan, run\n"
        "photos, out = Path(sys.argv[1]), Path(sys.argv[2])\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        # As many as three images are held at once, which is so at some time in the first twelve.
        "for number in range(3): run(plan([photos], out / f'warm{number}'), bicubic(4), Diary())\nbefore = peak()\n"
        "for number in range(3): run(plan([photos], out / str(number)), bicubic(4), Diary())\n"
        "print(peak() - before)\n"
    )
    (tmp_path / "photos").mkdir()
    for n in range(4):
        Image.fromarray(data.astronaut()).save(tmp_path / "photos" / f"{n}.bmp")
    ended = fork_server.python(code, tmp_path / "photos", tmp_path / "out", cwd=tmp_path)
    one_result = 2048 * 2048 * 3 / 1024
    assert int(ended.out) < 3 * one_result  # of 12 results more


def test_an_image_given_twice_is_upscaled_once(tmp_path: Path) -> None:
    make(tmp_path / "photos" / "a.png")
    (tmp_path / "again").symlink_to("photos")
    twice = [
        tmp_path / "photos" / "a.png",
        tmp_path / "again" / "a.png",
        tmp_path / "photos" / ".." / "photos" / "a.png",
    ]
    assert len(plan(twice, tmp_path / "out").jobs) == 1
    assert len(plan([tmp_path / "photos", tmp_path / "photos"], tmp_path / "out").jobs) == 1


def test_names_that_differ_in_case_are_distinct_if_the_file_system_says_so(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    make(photos / "a.png", photos / "A.png", photos / "b.jpg")
    if len(list(photos.iterdir())) == 3:
        assert run(plan([photos], out), bicubic(), Diary()) == 0
        assert below(out) == ["A.png", "a.png", "b.jpg"]
        assert not np.array_equal(Image.open(out / "A.png"), Image.open(out / "a.png"))
    else:
        assert len(plan([photos], out).jobs) == 2
    assert not [path for path in tmp_path.iterdir() if path not in (photos, out)]


def test_names_that_differ_in_case_collide_if_the_file_system_ignores_case(tmp_path: Path, monkeypatch) -> None:
    """Creating such a file system needs privileges, so the check is replaced."""
    monkeypatch.setattr("nitido.upscaling.batch._is_case_sensitive", lambda folder: False)
    make(tmp_path / "photos" / "a.png", tmp_path / "photos" / "A.png")
    with pytest.raises(ImageFileError, match="would both become"):
        plan([tmp_path / "photos"], tmp_path / "out")


def test_the_input_may_be_inside_the_output(tmp_path: Path) -> None:
    make(tmp_path / "all" / "photos" / "a.png")
    assert run(plan([tmp_path / "all" / "photos"], tmp_path / "all"), bicubic(), Diary()) == 0
    assert below(tmp_path / "all") == ["a.png", "photos/a.png"]


def test_the_output_may_be_a_link_to_a_folder(tmp_path: Path) -> None:
    make(tmp_path / "photos" / "a.png")
    (tmp_path / "there").mkdir()
    (tmp_path / "out").symlink_to("there")
    assert run(plan([tmp_path / "photos"], tmp_path / "out"), bicubic(), Diary()) == 0
    assert below(tmp_path / "there") == ["a.png"]


def test_foreign_files_stop_the_batch_before_any_work(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    make(*(photos / f"{n}.png" for n in range(9)), *(out / f"{n}.png" for n in range(1, 9)))
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    diary = Diary()
    with pytest.raises(UpscaleError, match=r"out/1.png, .*out/5.png and 3 more: already exists.*--existing"):
        run(plan([photos], out), bicubic(), diary)
    assert not diary.ended_
    assert not (out / "0.png").exists()
    assert run(plan([photos], out), bicubic(), diary, "skip") == 0
    assert (diary.ended_, diary.left_) == (["0.png"], [f"{n}.png" for n in range(1, 9)])
    assert before == {file.name: file.read_bytes() for file in out.iterdir() if file.name in before}
    diary = Diary()
    assert run(plan([photos], out), bicubic(), diary, "overwrite") == 0
    assert (len(diary.ended_), diary.skipped_) == (8, ["0.png"])
    diary = Diary()
    assert run(plan([photos], out), bicubic(), diary) == 0
    assert len(diary.skipped_) == 9


@pytest.mark.parametrize("existing", ["error", "skip", "overwrite"])
def test_one_foreign_file_for_one_image(tmp_path: Path, existing: str) -> None:
    make(tmp_path / "a.png", tmp_path / "b.png")
    before = (tmp_path / "b.png").read_bytes()
    batch, diary = plan([tmp_path / "a.png"], tmp_path / "b.png"), Diary()
    if existing == "error":
        with pytest.raises(UpscaleError, match=r"b.png: already exists"):
            run(batch, bicubic(), diary, existing)
    else:
        assert run(batch, bicubic(), diary, existing) == 0
    assert ((tmp_path / "b.png").read_bytes() == before) == (existing != "overwrite")


def test_impossible_targets_are_reported_before_any_work(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    make(photos / "a.png", photos / "sub" / "b.png", photos / "z.png", photos / "dead.png")
    make(photos / f"{'n' * 251}.jpg", photos / f"{'n' * 251}.png")  # ….jpg.png would be too long a name
    (out / "a.png").mkdir(parents=True)
    (out / "sub").write_text("a file where a folder is needed")
    (out / "dead.png").symlink_to("nowhere")

    class Patient(Diary):
        def started(self, job: Job, pixels: int):
            assert len(self.failed_) == 5
            return super().started(job, pixels)

    diary = Patient()
    assert run(plan([photos], out, ".png"), bicubic(), diary) == 5
    assert diary.ended_ == ["z.png"]
    for line, name in zip(sorted(diary.failed_), ["a.png", "dead.png", "n" * 251, "n" * 251, "sub"], strict=True):
        assert name in line


def test_names_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    make(photos / f"{'n' * 251}.png", photos / f"{'é' * 125}.png")
    diary = Diary()
    assert run(plan([photos], out), bicubic(), diary) == 0
    assert below(out) == sorted([f"{'n' * 251}.png", f"{'é' * 125}.png"])
    assert run(plan([photos], out), bicubic(), diary) == 0
    assert len(diary.skipped_) == 2


NAMES = [os.fsdecode(b"\xff\xfe.png"), "a\u2028b\u2029c\x85d\x0ce.png", "f\ng.png", '"{}".png', "\udc80.png", "\\.png"]


def test_any_file_name_can_be_recorded(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for name in NAMES:
        make(tmp_path / "x.png")
        (tmp_path / "x.png").rename(photos / name)
    assert run(plan([photos], out), bicubic(), Diary()) == 0
    diary = Diary()
    assert run(plan([photos], out), bicubic(), diary) == 0
    assert sorted(diary.skipped_) == sorted(NAMES)


def test_damaged_manifest_lines_are_reported_and_ignored(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    make(photos / "a.png", photos / "b.png")
    run(plan([photos], out), bicubic(), Diary())
    whole = (out / MANIFEST).read_bytes()
    generator = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for position in generator.integers(0, len(whole), 3):
            damaged[position] ^= int(generator.integers(1, 256))
        (out / MANIFEST).write_bytes(bytes(damaged))
        diary = Diary()
        assert run(plan([photos], out), bicubic(), diary, "overwrite") == 0
        assert sorted(diary.skipped_ + diary.ended_) == ["a.png", "b.png"]
        assert diary.warned_ or not damaged.endswith(b"\n")
    for content in (
        b"\xff\xfe\n",
        b"[]\n",
        b"null\n",
        b'{"result": 3}\n',
        b"[" * 9999 + b"\n",
        b'{"result": "a.png"\n',
    ):
        (out / MANIFEST).write_bytes(content)
        diary = Diary()
        with pytest.raises(UpscaleError, match="already exists"):
            run(plan([photos], out), bicubic(), diary)
        assert diary.warned_ == [f"1 damaged lines of {out / MANIFEST} are ignored"]
