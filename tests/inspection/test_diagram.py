import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from nitido.architectures import build, resolve_config
from nitido.architectures.srcnn import VARIANTS
from nitido.inspection import draw_diagram

SMALL = ["LR image", "Conv 5×5", "3 → 64 channels", "4,864 parameters", "64 · h×w", "64 → 128 channels"]
SMALL += ["73,856 parameters", "128 · h×w", "Pixel shuffle ×2", "32 · 2h×2w", "32 → 3 channels", "2,403 parameters"]
LARGE = ["LR image", "Bicubic ×2", "3 · 2h×2w", "Conv 9×9", "3 → 128 channels", "128 · 2h×2w", "Conv 3×3"]
LARGE += ["128 → 64 channels", "Conv 5×5", "64 → 3 channels", "4,803 parameters", "SR image"]

EXPECTED = {
    "vanilla": [*LARGE, "ReLU", "31,232 parameters", "73,792 parameters"],
    "leaky_relu": [*LARGE, "LeakyReLU 0.2"],
    "prelu": [*LARGE, "PReLU", "31,360 parameters", "73,856 parameters"],
    "residual": [*LARGE, "ReLU", "+"],
    "pixel_shuffle": [*SMALL, "ReLU"],
    "pixel_shuffle_residual": [*SMALL, "ReLU", "Bicubic ×2", "+"],
    "pixel_shuffle_residual_leaky_relu": [*SMALL, "LeakyReLU 0.2", "Bicubic ×2", "+"],
    "paper_9_1_5": ["1 → 64 channels", "Conv 1×1", "32 → 1 channels", "801 parameters", "1 · 2h×2w"],
    "debug": ["Bicubic ×2", "3 → 4 channels", "+"],
}


def svg_texts(path: Path) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_shows_what_it_is_made_of(tmp_path: Path, variant: str) -> None:
    network = build("srcnn", resolve_config("srcnn", variant, {}))
    draw_diagram(network, tmp_path / "m.svg", tmp_path / "m.png", f"SRCNN · {variant}")
    texts = svg_texts(tmp_path / "m.svg")
    assert [label for label in EXPECTED[variant] if label not in texts] == []
    assert f"SRCNN · {variant}" in texts
    assert ("+" in texts) == network.config.model_dump()["residual"]
    with Image.open(tmp_path / "m.png") as picture:
        assert picture.width > picture.height > 200
        assert picture.convert("L").getextrema()[0] < 64


def test_the_same_network_gives_the_same_svg(tmp_path: Path) -> None:
    for name in ("a", "b"):
        network = build("srcnn", resolve_config("srcnn", "debug", {}))
        draw_diagram(network, tmp_path / f"{name}.svg", tmp_path / f"{name}.png", "debug")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_a_network_that_sees_the_whole_picture_says_so(tmp_path: Path) -> None:
    network = build("edsr", resolve_config("edsr", "debug", {"block": "channel_attention"}))
    draw_diagram(network, tmp_path / "m.svg", tmp_path / "m.png", "attention")
    texts = svg_texts(tmp_path / "m.svg")
    assert any(text.endswith("sees the whole picture") for text in texts)
    assert "channel attention" in texts


def test_the_user_s_matplotlibrc_changes_nothing(tmp_path: Path) -> None:
    """Each line of it would end the drawing, or change it; LaTeX is not even installed everywhere."""
    lines = [
        "text.usetex: True",
        "font.size: 31",
        "svg.fonttype: path",
        "axes.facecolor: red",
        "savefig.transparent: True",
    ]
    lines += ["savefig.bbox: tight", "figure.autolayout: True", "path.sketch: 5, 100, 2", "font.family: monospace"]
    lines += ["savefig.facecolor: black", "lines.antialiased: False", "text.color: red", "figure.dpi: 31"]
    (tmp_path / "matplotlibrc").write_text("\n".join(lines))
    code = (
        "import sys\nfrom pathlib import Path\nfrom nitido.architectures import build, resolve_config\n"
        "from nitido.inspection import draw_diagram\nfolder = Path(sys.argv[1])\nfolder.mkdir()\n"
        "draw_diagram(build('srcnn', resolve_config('srcnn', 'debug', {})), folder / 'm.svg', folder / 'm.png', 't')"
    )
    for name, rc in (("plain", ""), ("changed", str(tmp_path / "matplotlibrc"))):
        environment = os.environ | {"MATPLOTLIBRC": rc}
        if not rc:
            del environment["MATPLOTLIBRC"]
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=True, env=environment, timeout=120)
    for file in ("m.svg", "m.png"):
        assert (tmp_path / "changed" / file).read_bytes() == (tmp_path / "plain" / file).read_bytes()


def test_a_title_is_shown_as_it_is(tmp_path: Path) -> None:
    network = build("srcnn", resolve_config("srcnn", "debug", {}))
    draw_diagram(network, tmp_path / "m.svg", tmp_path / "m.png", r"cost $\frac{ & <b> _x^ $")
    assert "cost $\\frac{ &amp; &lt;b&gt; _x^ $" in svg_texts(tmp_path / "m.svg")
