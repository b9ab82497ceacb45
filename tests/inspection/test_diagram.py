import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from nitido.architectures import NetworkConfig, architecture_names, build, get_architecture, resolve_config
from nitido.architectures.srcnn import VARIANTS
from nitido.inspection import diagram, draw_diagram
from nitido.inspection.data_flow import data_flow_and_open_blocks
from nitido.study.plan import plan
from nitido.study.resolve import resolve
from nitido.study.spec import builtin_names, load_study_file
from nitido.training.freezing import freeze
from tests.forked import ForkServer

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
def test_every_diagram_shows_the_layers_of_its_variant(tmp_path: Path, variant: str) -> None:
    network = build("srcnn", resolve_config("srcnn", variant, {}))
    draw_diagram(network, tmp_path / "m.svg", tmp_path / "m.png", f"SRCNN · {variant}")
    texts = svg_texts(tmp_path / "m.svg")
    assert [label for label in EXPECTED[variant] if label not in texts] == []
    assert f"SRCNN · {variant}" in texts
    assert ("+" in texts) == network.config.model_dump()["residual"]
    with Image.open(tmp_path / "m.png") as image:
        assert image.width > image.height > 200
        assert image.convert("L").getextrema()[0] < 64


def test_the_same_network_gives_the_same_svg(tmp_path: Path) -> None:
    for name in ("a", "b"):
        network = build("srcnn", resolve_config("srcnn", "debug", {}))
        draw_diagram(network, tmp_path / f"{name}.svg", tmp_path / f"{name}.png", "debug")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_an_unlimited_receptive_field_is_stated(tmp_path: Path) -> None:
    network = build("edsr", resolve_config("edsr", "debug", {"block": "channel_attention"}))
    draw_diagram(network, tmp_path / "m.svg", tmp_path / "m.png", "attention")
    texts = svg_texts(tmp_path / "m.svg")
    assert any(text.endswith("receptive field: whole image") for text in texts)
    assert "channel attention" in texts


def test_the_matplotlibrc_of_the_user_has_no_effect(fork_server: ForkServer, tmp_path: Path) -> None:
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
    (tmp_path / "none").touch()
    for name, rc in (("plain", "none"), ("changed", "matplotlibrc")):
        environment = {"MATPLOTLIBRC": str(tmp_path / rc)}
        ended = fork_server.python(code, tmp_path / name, cwd=tmp_path, environment=environment)
        assert ended.code == 0, ended
    for file in ("m.svg", "m.png"):
        assert (tmp_path / "changed" / file).read_bytes() == (tmp_path / "plain" / file).read_bytes()


def test_a_title_is_shown_verbatim(tmp_path: Path) -> None:
    network = build("srcnn", resolve_config("srcnn", "debug", {}))
    draw_diagram(network, tmp_path / "m.svg", tmp_path / "m.png", r"cost $\frac{ & <b> _x^ $")
    assert "cost $\\frac{ &amp; &lt;b&gt; _x^ $" in svg_texts(tmp_path / "m.svg")


def drawn(folder: Path, architecture: str, config: NetworkConfig, title: str = "title") -> bytes:
    draw_diagram(build(architecture, config), folder / "m.svg", folder / "m.png", title)
    return (folder / "m.svg").read_bytes()


def studied() -> list[tuple[str, NetworkConfig]]:
    """The configurations of all networks that ship: every variant, and every variant of the studies."""
    found = [
        (name, resolve_config(name, variant, {}))
        for name in architecture_names()
        for variant in get_architecture(name).variants
    ]
    for name in builtin_names():
        study = load_study_file(name)
        for profile in study.profiles:
            for run in (planned.config for planned in plan(resolve(study, profile))):
                family = get_architecture(run.architecture)
                found.append((family.name, family.config_class.parse(run.config, run.variant)))
    return found


def test_networks_with_different_configurations_have_different_diagrams(tmp_path: Path) -> None:
    """Also apart from the line that lists the configuration."""
    by_drawing: dict[tuple[str, ...], str] = {}
    for architecture, config in {repr(pair): pair for pair in studied()}.values():
        with torch.device("meta"):
            network = build(architecture, config)
        known = f"{architecture} {config!r}"
        flow = repr(data_flow_and_open_blocks(network))
        assert by_drawing.setdefault((flow,), known) == known
    assert len(by_drawing) > 50


@pytest.mark.parametrize(
    ("architecture", "variant", "changes", "expected"),
    [
        ("rdn", "compact", {}, ["Dense layer", "ReLU", "adds 16 channels", "Inside ResidualDenseBlock"]),
        ("rdn", "compact_gelu", {}, ["GELU"]),
        ("rdn", "compact_leaky_relu", {}, ["LeakyReLU 0.2"]),
        ("edsr", "compact_residual_scale", {}, ["branch × 0.1", "× 0.1"]),
        ("edsr", "compact_batch", {}, ["BatchNorm2d", "Inside ResidualBlock · batch · BatchNorm2d"]),
        ("edsr", "compact_separable", {}, ["Depthwise conv 3×3", "Conv 1×1"]),
        ("edsr", "compact_channel_attention", {}, ["Mean over the image", "Sigmoid", "Multiply"]),
        ("edsr", "compact_rrdb", {}, ["3 × ResidualBlock", "4 × Dense layer", "branch × 0.2"]),
        ("edsr", "debug", {"rgb_mean": [0.4, 0.4, 0.5]}, ["ColorShift", "rgb_mean: 0.4, 0.4, 0.5"]),
        ("srresnet", "compact", {"batch_norm_momentum": 0.3}, ["batch_norm_momentum: 0.3"]),
    ],
)
def test_the_inside_of_a_block_is_drawn(
    tmp_path: Path, architecture: str, variant: str, changes: dict[str, object], expected: list[str]
) -> None:
    drawn(tmp_path, architecture, resolve_config(architecture, variant, changes))
    texts = svg_texts(tmp_path / "m.svg")
    words = [word for text in texts for word in text.split(" · ")]
    missing = [label for label in expected if not any(label in found for found in (*texts, *words))]
    assert missing == []


def test_two_changes_of_a_configuration_have_different_drawings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever field of the configuration it is."""
    monkeypatch.setattr(diagram, "_DPI", 10)  # the SVGs are compared
    for name in architecture_names():
        family = get_architecture(name)
        base = resolve_config(name, "debug", {})
        fitting = [changes for changes in CHANGES if set(changes) <= set(family.config_class.model_fields)]
        configs = [base, *(resolve_config(name, "debug", changes) for changes in fitting)]
        different = {config.model_dump_json(): config for config in configs}  # a change may be what the base has
        assert len({drawn(tmp_path, name, config) for config in different.values()}) == len(different), name


CHANGES: list[dict[str, object]] = [
    {"activation": "gelu"},
    {"activation": "silu"},
    {"normalization": "batch"},
    {"order": "pre_activation"},
    {"residual_scale": 0.5},
    {"residual_scale": 0.25},
    {"batch_norm_momentum": 0.1},
    {"batch_norm_epsilon": 1e-4},
    {"block": "bottleneck"},
    {"block": "channel_attention"},
    {"upsampler": "nearest"},
    {"upsampler": "transposed"},
    {"growth": 5},
    {"layers": 3},
    {"bias": False},
    {"rgb_mean": [0.1, 0.2, 0.3]},
    {"rgb_mean": [0.1, 0.2, 0.4]},
]


def test_frozen_parts_are_marked(tmp_path: Path) -> None:
    network = build("edsr", resolve_config("edsr", "debug", {"blocks": 4}))
    freeze(network, ("head", "body.[0-1]"))
    draw_diagram(network, tmp_path / "m.svg", tmp_path / "m.png", "frozen")
    texts = svg_texts(tmp_path / "m.svg")
    assert texts.count("2 × ResidualBlock") == 2
    assert texts.count("frozen") >= 2


@pytest.mark.parametrize("spec", ["srresnet/srresnet", "rdn/rdn", "edsr/edsr", "vdsr/vdsr", "srcnn/vanilla"])
def test_at_1400_pixels_the_smallest_text_can_be_read(tmp_path: Path, spec: str) -> None:
    architecture, variant = spec.split("/")
    with torch.device("meta"):
        network = build(architecture, resolve_config(architecture, variant, {"scale": 4}))
    draw_diagram(network, tmp_path / "m.svg", tmp_path / "m.png", spec)
    with Image.open(tmp_path / "m.png") as image:
        inches = image.width / 200
    assert 7.5 / 72 * 1400 / inches > 9, "pixels of a letter's height with its line"
