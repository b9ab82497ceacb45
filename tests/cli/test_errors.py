"""Whatever goes wrong is one line: files that cannot be, mistakes in nitido itself, output that goes nowhere."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.forked import Ended, ForkServer

LONG = "n" * 300

IMPOSSIBLE_FILES = [
    # arguments, what the line must name
    (["train", "srcnn", "--out", "file/run"], "file/run"),
    (["train", "srcnn", "--out", f"runs/{LONG}"], LONG),
    (["study", "run", "srcnn", "--out", "file/study"], "file/study"),
    (["data", "list", "--json", "folder"], "folder"),
    (["data", "list", "--json", "file/x.json"], "file"),
    (["data", "list", "--json", LONG], LONG),
    (["data", "list", "--json", "/proc/nowhere/x.json"], "/proc"),
    (["model", "list", "--json", "/dev/full"], "/dev/full"),
    (["model", "show", LONG], LONG),
    (["model", "show", "edsr-x2", "--json", "dead"], "dead"),
    (["model", "plot", "edsr-x2", "-o", "file/x.svg"], "file"),
    (["model", "plot", "edsr-x2", "-o", "/proc/x.svg"], "/proc"),
    (["model", "export", "edsr-x2", "-o", "file/x.onnx"], "file"),
    (["model", "export", "edsr-x2", "-o", "folder"], "folder"),
    (["model", "import", "file", "-o", "file/x.safetensors"], "file"),
    (["compare", "image.png", "bicubic", "--scale", "2", "-o", "file/x.png"], "file"),
    (["evaluate", "bicubic", "--scale", "2", "--data", "samples", "--json", "folder"], "folder"),
    (["evaluate", "bicubic", "--scale", "2", "--data", LONG], LONG),
    (["evaluate", "bicubic", "--scale", "2", "--data", "~nobody-of-this-name/x"], "~nobody-of-this-name/x"),
    (["upscale", LONG, "-o", "out"], LONG),
    (["upscale", "loop", "-o", "out"], "loop"),
    (["upscale", "image.png", "-o", "loop", "--model", "bicubic", "--scale", "2"], "loop"),
    (["data", "check", "loop"], "loop"),
    (["study", "show", LONG], LONG),
    (["study", "report", "loop"], "loop"),
    (["benchmark", "train", "--json", "folder"], "folder"),
    (["benchmark", "upscale", "--json", "file/x"], "file"),
]


@pytest.fixture
def machine_info(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("pool")
    (tmp_path / "pool").symlink_to("loop")
    (tmp_path / "dead").symlink_to("nowhere")
    Image.new("RGB", (24, 24), "red").save(tmp_path / "image.png")
    return tmp_path


@pytest.mark.parametrize(("arguments", "named"), IMPOSSIBLE_FILES)
def test_files_that_cannot_be_are_one_line_that_names_them(call, machine_info: Path, arguments, named: str) -> None:
    done = call(*arguments)
    assert done.code == 1, done.err
    assert named in done.error_line
    assert "unexpected" not in done.error_line


MISUSED = [
    ["evaluate"],
    ["evaluate", "bicubic", "--data", "samples", "--scale", "99"],
    ["evaluate", "bicubic", "--data", "samples", "--scale", "two"],
    ["train"],
    ["upscale", "a.png"],
    ["upscale", "-o"],
    ["nonsense"],
    ["study", "nonsense"],
    ["model", "show", "edsr-x2", "--no-such-option"],
    ["data", "check", "a", "b"],
    ["data", "check", "--evil\x1b[2J\n\u202e"],
]


@pytest.mark.parametrize("arguments", MISUSED)
def test_wrong_arguments_are_one_line_that_names_the_help(call, arguments: list[str]) -> None:
    done = call(*arguments)
    assert done.code == 2
    assert done.err == done.error_line + "\n"
    assert done.error_line.endswith(" --help)")
    assert done.error_line.isprintable()


PLUGIN = """
import nitido.data

def broken():
    def is_complete(self):
        {line}
    nitido.data.DATASETS["samples"].__class__.is_complete = is_complete

broken()
"""


@pytest.fixture
def with_plugin(fork_server: ForkServer, tmp_path: Path, environment: dict[str, str]) -> Callable[..., Ended]:
    """Return a function that runs a command with a plugin which does something else in place of a look at a dataset."""

    def run(line: str, *arguments: str) -> Ended:
        plugin = tmp_path / "broken.py"
        plugin.write_text(PLUGIN.format(line=line))
        changed = environment | {"NITIDO_PLUGINS": str(plugin), "TMPDIR": str(tmp_path)}
        return fork_server.nitido(*arguments, environment=changed, cwd=tmp_path)

    return run


@pytest.mark.parametrize(
    "error", ["ValueError('one\\ntwo \\x1b[2J')", "RuntimeError()", "EOFError()", "AssertionError", "SyntaxError('x')"]
)
def test_a_mistake_in_nitido_is_one_line_and_a_file(tmp_path: Path, with_plugin, error: str) -> None:
    done = with_plugin(f"raise {error}", "data", "list")
    assert done.code == 70
    lines = done.err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"nitido: unexpected {error.partition('(')[0]}")
    assert lines[0].isprintable()
    (traceback,) = tmp_path.glob("nitido-traceback-*.txt")
    assert str(traceback) in lines[0]
    assert "in is_complete" in traceback.read_text()


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("OSError(5, 'Input/output error', 'a.bin')", "nitido: a.bin: Input/output error: the disk"),
        ("OSError('without a number')", "nitido: without a number"),
        ("BrokenPipeError(32, 'Broken pipe')", "nitido: Broken pipe"),
        ("OSError(24, 'Too many open files', 'x')", "nitido: x: Too many open files: allow more"),
        ("TimeoutError()", "nitido: TimeoutError"),
        ("FileNotFoundError(2, 'No such file or directory', 'a', None, 'b')", "nitido: a and b: No such file"),
    ],
)
def test_every_oserror_is_one_line(with_plugin, error: str, line: str) -> None:
    done = with_plugin(f"raise {error}", "data", "list")
    assert done.code == 1
    assert done.err.startswith(line)
    assert len(done.err.splitlines()) == 1


def test_only_json_goes_to_standard_output_when_it_is_asked_for(with_plugin) -> None:
    done = with_plugin("print('noise'); return False", "data", "list", "--json", "-")
    assert done.code == 0
    assert {found["here"] for found in json.loads(done.out)["datasets"]} == {False}
    assert "noise" in done.err


def shell(command: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess:
    """Run `command` in bash, in which `nitido` is the command."""
    nitido = f'nitido() {{ {sys.executable} -m nitido "$@"; }}; set -o pipefail; '
    return subprocess.run(
        ["bash", "-c", nitido + command],
        capture_output=True,
        cwd=folder,
        env=environment,
        check=False,
        timeout=120,
    )


EVALUATE = "nitido evaluate bicubic --data images --scale 2 --metric psnr_y"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    Image.effect_noise((48, 48), 60).convert("RGB").save(tmp_path / "images" / "a.png")
    return tmp_path


@pytest.mark.parametrize(
    ("how", "code", "said"),
    [
        (f"PYTHONIOENCODING=ascii {EVALUATE} --json r.json", 0, ""),
        (f"PYTHONIOENCODING=ascii:strict {EVALUATE} --json r.json", 0, ""),
        (f"PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 LC_ALL=C {EVALUATE} --json r.json", 0, ""),
        (f"{EVALUATE} --json r.json >&- 2>&- <&-", 0, ""),
        (f"{EVALUATE} --json r.json | head -1", 0, ""),
        ({1: "closed"}, 0, ""),
        ({0: "closed", 1: "closed", 2: "closed"}, 0, ""),
        ({1: "unread"}, 0, ""),
        ({1: "/dev/full"}, 1, "standard output: No space left"),
        ({2: "/dev/full"}, 0, ""),
    ],
)
def test_what_was_measured_is_written_however_it_is_printed(
    fork_server: ForkServer, images: Path, environment, how, code, said
) -> None:
    """By a shell, where the interpreter has a say, and with redirected streams."""
    if isinstance(how, str):
        done = shell(how, images, environment)
        ended, err = done.returncode, done.stderr.decode()
    else:
        command = [*EVALUATE.split()[1:], "--json", "r.json"]
        fork = fork_server.nitido(*command, cwd=images, environment=environment, streams=how)
        ended, err = fork.code, fork.err
    assert ended == code, err
    assert err.count("\n") == bool(said)
    assert said in err
    (mean,) = json.loads((images / "r.json").read_bytes())["means"]
    assert 5 < mean["value"] < 60


@pytest.mark.parametrize(
    ("command", "streams", "code"),
    [
        ("model list", {1: "/dev/full"}, 1),
        ("model list --json -", {1: "/dev/full"}, 1),
        ("model list --json -", {1: "closed"}, 1),
        ("--help", {1: "/dev/full"}, 1),
        ("nonsense", {2: "closed"}, 2),
        ("nonsense", {2: "/dev/full"}, 2),
        ("model list", {1: "unread"}, 0),
    ],
)
def test_lost_output_is_no_traceback(
    fork_server: ForkServer, tmp_path: Path, environment, command: str, streams: dict[int, str], code: int
) -> None:
    ended = fork_server.nitido(*command.split(), cwd=tmp_path, environment=environment, streams=streams)
    assert ended.code == code
    assert ended.err.count("\n") <= 1


def test_lost_help_of_a_fresh_interpreter_is_no_traceback(tmp_path: Path, environment) -> None:
    done = shell("nitido --help > /dev/full", tmp_path, environment)
    assert done.returncode == 1
    assert done.stderr.count(b"\n") == 1


def test_ascii_output_has_escapes_for_what_it_lacks(images: Path, environment) -> None:
    done = shell(f"PYTHONIOENCODING=ascii {EVALUATE}", images, environment)
    assert done.stdout.isascii()
    assert rb"\xd72" in done.stdout


def test_what_was_measured_is_shown_when_its_file_cannot_be_written(images: Path, call) -> None:
    done = call(*EVALUATE.split()[1:], "--json", "/dev/full")
    assert done.code == 1
    assert "│ bicubic │ images" in done.out
    assert done.err.startswith("nitido: /dev/full: No space left on device")
    assert Path("/dev/full").is_char_device()


def test_json_may_go_to_a_device_or_a_pipe(tmp_path: Path, environment) -> None:
    done = shell(
        "nitido model list --json /dev/stderr > /dev/null; nitido model list --json /dev/null", tmp_path, environment
    )
    assert done.returncode == 0
    assert len(json.loads(done.stderr)["models"]) > 3
    assert Path("/dev/null").is_char_device()


def test_an_unwritable_output_is_reported_before_the_work(call, tmp_path: Path, environment) -> None:
    """The model does not exist: an error about the output came before any look at it."""
    for arguments in (
        ["evaluate", "nowhere", "--data", "samples", "--scale", "2", "--json", "/proc/x.json"],
        ["compare", "nowhere.png", "nowhere", "--scale", "2", "-o", "/proc/x.png"],
        ["model", "show", "nowhere", "--json", "/proc/x.json"],
        ["model", "export", "nowhere", "-o", "/proc/x.onnx"],
        ["model", "plot", "nowhere", "-o", "/proc/x.svg"],
        ["model", "import", "nowhere", "-o", "/proc/x.safetensors"],
        ["study", "run", "nowhere", "--json", "/proc/x.json"],
        ["study", "show", "nowhere", "--json", "/proc/x.json"],
        ["study", "report", "nowhere", "--json", "/proc/x.json"],
        ["benchmark", "train", "nowhere", "--json", "/proc/x.json"],
        ["data", "check", "nowhere", "--json", "/proc/x.json"],
    ):
        done = call(*arguments)
        assert done.code == 1
        assert "/proc" in done.error_line, arguments


def test_without_a_home_directory_the_named_folders_suffice() -> None:
    code = (
        "import os\n"
        "from nitido.base.folders import cache_root, data_root\n"
        "os.environ.pop('HOME', None)\n"
        "os.setuid(54321)\n"
        "print(cache_root())\n"
        "data_root()"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("NITIDO_DATA", "XDG_DATA_HOME")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"NITIDO_CACHE": "/tmp/mine"},
        capture_output=True,
        text=True,
        check=False,
    )
    if os.geteuid() == 0:
        assert done.stdout == "/tmp/mine\n", done.stderr
        assert "NitidoError: this user has no home directory: set NITIDO_DATA" in done.stderr


NAMES = ["[final].png", "[/old].png", ":cat:.png", "a\x1b[2Jb.png", "c\u202egnp.png", "d\ne.png", "f\u2028g.png"]
SHOWN = ["[final].png", "[/old].png", ":cat:.png", r"a\x1b[2Jb.png", r"c\u202egnp.png", r"d\ne.png", r"f\u2028g.png"]


def test_names_are_shown_as_text(tmp_path: Path, call) -> None:
    folder = tmp_path / "in"
    (folder / "[").mkdir(parents=True)
    names = [*NAMES, os.fsdecode(b"h\xff.png")]
    for name in names:
        Image.new("RGB", (16, 16), "blue").save(tmp_path / "x.png")
        (tmp_path / "x.png").rename(folder / name)
    done = call("upscale", folder, "-o", tmp_path / "out", "--model", "bicubic", "--scale", "2")
    assert done.code == 0, done.err
    lines = done.err.splitlines()
    assert all(line.isprintable() for line in lines)
    assert len(lines) == len(names)
    for shown in [*SHOWN, r"h\xff.png"]:
        assert any(f"/{shown}: 16×16" in line for line in lines), shown
    assert {file.name for file in (tmp_path / "out").rglob("*.png")} == {Path(name).name for name in names}
    again = call("upscale", folder, "-o", tmp_path / "out", "--model", "bicubic", "--scale", "2")
    assert again.err.count("finished already") == len(names)


def test_names_in_tables_are_not_markup(call, tmp_path: Path) -> None:
    folder = Path("[final] [", "old]\x1b[2J")
    (tmp_path / folder).mkdir(parents=True)
    Image.new("RGB", (32, 32), "green").save(tmp_path / folder / "a.png")
    done = call("evaluate", "bicubic", "--data", folder, "--scale", "2", "--metric", "psnr_y")
    assert done.code == 0, done.err
    assert r"[final] [/old]\x1b[2J" in done.out
    assert "\x1b" not in done.out


def test_json_holds_names_as_they_are(call, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    names = sorted([os.fsdecode(b"h\xff"), "l\u2028", "n\nl", "e\x1b[31m", "[b]"])
    for number, name in enumerate(names):
        Image.effect_noise((32, 32), 40 + number).convert("RGB").save(tmp_path / "x.png")
        (tmp_path / "x.png").rename(folder / f"{name}.png")
    json_file = tmp_path / "r.json"
    done = call("evaluate", "bicubic", "--data", folder, "--scale", "2", "--metric", "psnr_y", "--json", json_file)
    assert done.code == 0, done.err
    rows = json.loads(json_file.read_bytes().decode("utf-8"))["rows"]
    assert sorted(row["image"] for row in rows) == names
