"""Networks as ONNX: the same pixels at every size, and nothing left behind that does not give them."""

import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from nitido.architectures import NetworkConfig, SuperResolutionNetwork
from nitido.base.errors import NitidoError
from nitido.models import ModelDescriptor, ModelFileError
from nitido.models.bfloat16 import has_fast_bfloat16
from nitido.models.onnx import Export, OnnxError, OnnxNetwork, export_onnx, load_onnx_file
from nitido.models.onnx.export import largest_differences
from nitido.models.self_ensemble import SelfEnsemble
from nitido.models.working_memory import bytes_per_pixel
from nitido.upscaling.backends import AUTO, BACKENDS, check_name, choose, prepare
from nitido.upscaling.upscaler import load_upscaler
from tests.architectures.recipes import debug
from tests.forked import ForkServer
from tests.models.zoo.small_zoo import add_model

RECIPES = [
    debug("srcnn"),  # bicubic input
    debug("vdsr", scale=3, upsampler="nearest"),
    debug("edsr", upsampler="transposed", block="channel_attention", rgb_mean=(0.4, 0.4, 0.5)),
    debug("rdn", upsampler="bicubic", normalization="batch", order="pre_activation", activation="prelu"),
    debug("srresnet"),  # pixel shuffle in two stages, batch normalization
]
"""Every architecture and every upsampler: an export takes seconds."""

SIZES = [(1, 1, 1), (3, 16, 31), (1, 7, 3), (2, 64, 5), (1, 61, 47)]
"""Other sizes than those that are compared at every export."""


@dataclass(frozen=True)
class Exported:
    network: SuperResolutionNetwork
    descriptor: ModelDescriptor
    path: Path
    report: Export


def trained(network: SuperResolutionNetwork) -> SuperResolutionNetwork:
    """`network` with statistics as only a training would leave them."""
    for name, buffer in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.copy_(torch.rand(buffer.shape, generator=torch.Generator().manual_seed(1)) + 0.5)
    return network


@pytest.fixture(scope="module", params=RECIPES, ids=str)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    network = trained(request.param.build())
    descriptor = ModelDescriptor.of(
        network, request.param.architecture, "tiny", {"seed": 0}, {"set5": {"psnr_y": 31.5}}
    )
    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    return Exported(network, descriptor, path, export_onnx(path, network, descriptor))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A network that is exported once for all tests that only need any."""
    network = debug("srcnn", upsampler="pixel_shuffle", residual=False).build()
    descriptor = ModelDescriptor.of(network, "srcnn", "tiny")
    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    return Exported(network, descriptor, path, export_onnx(path, network, descriptor))


class Odd(SuperResolutionNetwork):
    """A third-party network: nearest neighbors, and an error."""

    def __init__(self, fault: str) -> None:
        super().__init__(NetworkConfig(), 0)
        self.fault = fault

    def forward(self, lr: Tensor) -> Tensor:
        upscaled = lr.repeat_interleave(2, 2).repeat_interleave(2, 3)
        if self.fault == "noise":
            return upscaled + 1e-3 * torch.rand_like(upscaled)
        if self.fault == "nan":
            return upscaled / (upscaled - upscaled)
        return upscaled if float(lr.mean()) > 0.5 else 1 - upscaled


def test_onnx_runtime_gives_the_same_pixels_at_every_size(exported: Exported) -> None:
    session = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
    for images, height, width in SIZES:
        lr = torch.rand(images, exported.network.channels, height, width)
        (found,) = session.run(["sr"], {"lr": lr.numpy()})
        with torch.inference_mode():
            expected = exported.network(lr)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=5e-6)
    assert 0 < exported.report.largest_difference < 5e-6
    assert exported.report.size == exported.path.stat().st_size
    assert [file.name for file in exported.path.parent.iterdir()] == ["tiny.onnx"]


def test_the_file_describes_itself(exported: Exported) -> None:
    model = onnx.load(exported.path)
    onnx.checker.check_model(model, full_check=True)
    said = {entry.key: entry.value for entry in model.metadata_props}
    network = exported.network
    assert said["architecture"] == exported.descriptor.architecture
    assert (said["scale"], said["channels"]) == (str(network.scale), str(network.channels))
    radius = network.receptive_field_radius
    assert said["receptive_field_radius"] == ("whole image" if radius is None else str(radius))
    assert said["colour"].startswith("RGB in [0, 1]" if network.channels == 3 else "Y in [0, 1]")
    assert ModelDescriptor.model_validate_json(said["nitido"]) == exported.descriptor
    sizes = [axis.dim_param or axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim]
    assert sizes == ["batch", network.channels, "height", "width"]
    loaded = load_onnx_file(exported.path)
    attributes = ("scale", "channels", "receptive_field_radius")
    assert [getattr(loaded, key) for key in attributes] == [getattr(network, key) for key in attributes]


def test_an_export_contains_no_machine_paths(exported: Exported) -> None:
    content = exported.path.read_bytes()
    assert b"stack_trace" not in content
    assert b".py" not in content


def test_an_onnx_network_needs_the_memory_of_its_source(tiny: Exported) -> None:
    loaded = load_onnx_file(tiny.path)
    assert bytes_per_pixel(loaded) >= bytes_per_pixel(tiny.network)
    assert bytes_per_pixel(SelfEnsemble(loaded)) > bytes_per_pixel(loaded)


OUT_OF_MEMORY = """
import resource, sys, torch
from pathlib import Path
from nitido.models.onnx import load_onnx_file

network = load_onnx_file(Path(sys.argv[1]))
lr = torch.zeros(1, 3, 2000, 2000)
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (64 << 20), resource.RLIM_INFINITY))
try:
    network(lr)
except MemoryError:
    print("too little memory")
"""


def test_out_of_memory_raises_the_error_of_pytorch(fork_server: ForkServer, tiny: Exported, tmp_path: Path) -> None:
    ended = fork_server.python(OUT_OF_MEMORY, tiny.path, cwd=tmp_path)
    assert (ended.out, ended.err) == ("too little memory\n", "")


def test_tiles_and_channels_work_with_an_onnx_network(tiny: Exported) -> None:
    colors = np.random.default_rng(0).integers(0, 256, (40, 53, 3), dtype=np.uint8)
    plain, through = load_upscaler(tiny.network), load_upscaler(load_onnx_file(tiny.path), memory=1 << 20)
    for pixels in (colors, colors[:, :, :1]):
        expected, _ = plain.upscale(pixels, None, 80, 106)
        found, _ = through.upscale(pixels, None, 80, 106)
        assert np.abs(expected.astype(int) - found).max() <= 1


def test_one_network_serves_several_scales() -> None:
    network = debug("vdsr", depth=2).build()
    assert prepare(network, "torch") is network
    converted = prepare(network, "onnx")
    assert isinstance(converted, OnnxNetwork)
    third = converted.at_scale(3)
    assert (converted.scale, third.scale) == (2, 3)
    assert third is converted.at_scale(3)
    assert third.at_scale(2) is converted
    lr = torch.rand(1, 1, 9, 8)
    with torch.inference_mode():
        assert torch.allclose(third(lr), network.at_scale(3)(lr), rtol=0, atol=5e-6)


def test_a_file_is_for_one_scale(tiny: Exported) -> None:
    with pytest.raises(OnnxError, match="upscales by ×2, not by ×3"):
        load_onnx_file(tiny.path).at_scale(3)


def test_differences_are_detected() -> None:
    network = debug("srcnn").build().eval()
    other = debug("srcnn").build().eval()
    with torch.no_grad():
        other.reconstruction.bias += 0.25
    found = largest_differences(network, other)
    assert all(value == pytest.approx(0.25, abs=1e-5) for value in found.values())
    assert set(largest_differences(network, debug("srcnn", scale=3).build().eval()).values()) == {float("inf")}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("noise", "not equivalent: at 17×23 it differs from PyTorch by 0.000"),
        ("nan", "it differs from PyTorch by nan"),
        ("branch", "PyTorch cannot export this Odd to ONNX: "),
    ],
)
def test_a_different_network_is_not_written(tiny: Exported, tmp_path: Path, fault: str, message: str) -> None:
    target = tmp_path / "odd.onnx"
    target.write_bytes(b"the old one")
    with pytest.raises(OnnxError) as raised:
        export_onnx(target, Odd(fault), tiny.descriptor)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert target.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [target]


def test_other_names_than_onnx_are_refused(tiny: Exported, tmp_path: Path) -> None:
    with pytest.raises(OnnxError, match=r"tiny.pt: the name of an ONNX file must end in \.onnx"):
        export_onnx(tmp_path / "tiny.pt", tiny.network, tiny.descriptor)


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_gives_one_line(
    tiny: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as where it is not installed
    with pytest.raises(OnnxError, match=rf"needs {package}: pip install 'nitido\[onnx\]'"):
        export_onnx(tmp_path / "tiny.onnx", tiny.network, tiny.descriptor)
    choice = choose(tiny.network, 8, 8)
    assert (choice.backend, choice.network) == ("torch", tiny.network)
    assert str(choice).endswith(f"; onnx: {package} not installed)")
    if package == "onnxruntime":
        with pytest.raises(OnnxError, match=r"needs onnxruntime: pip install 'nitido\[onnx\]'"):
            load_onnx_file(tiny.path)
    else:
        assert load_onnx_file(tiny.path).scale == 2


def altered(tiny: Exported, path: Path, **metadata: str | None) -> Path:
    """Return the file with other metadata and, as in earlier versions, no checksum; None removes an entry."""
    model = onnx.load(tiny.path)
    said = {entry.key: entry.value for entry in model.metadata_props} | metadata
    del said["nitido_checksum"]
    del model.metadata_props[:]
    for key, value in said.items():
        if value is not None:
            model.metadata_props.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    return path


def test_bad_files_give_one_line(tiny: Exported, tmp_path: Path) -> None:
    def descriptor(**changes: object) -> str:
        return tiny.descriptor.model_copy(update=changes).model_dump_json()

    (tmp_path / "text.onnx").write_text("not a model")
    (tmp_path / "short.onnx").write_bytes(tiny.path.read_bytes()[:2000])
    bad = {
        tmp_path / "none.onnx": "no such model file",
        tmp_path / "text.onnx": "not a readable ONNX file",
        tmp_path / "short.onnx": "not a readable ONNX file",
        altered(tiny, tmp_path / "foreign.onnx", nitido=None): "an ONNX file that was not exported by nitido",
        altered(tiny, tmp_path / "json.onnx", nitido="{"): "its descriptor is not JSON",
        altered(tiny, tmp_path / "memory.onnx", bytes_per_pixel="many"): "its bytes_per_pixel is many",
        altered(tiny, tmp_path / "scale.onnx", nitido=descriptor(scale=3, scales=(3,))): "its descriptor states",
        altered(tiny, tmp_path / "grey.onnx", nitido=descriptor(channels=1)): "does not match its descriptor",
    }
    for path, message in bad.items():
        with pytest.raises(ModelFileError) as raised:
            load_onnx_file(path)
        assert str(raised.value).startswith(f"{path}: ")
        assert message in str(raised.value)
        assert "\n" not in str(raised.value)


def test_the_faster_backend_is_chosen(tiny: Exported) -> None:
    choice = choose(tiny.network, 16, 24)
    assert set(choice.seconds) == set(BACKENDS)
    assert choice.backend == min(choice.seconds, key=lambda name: choice.seconds[name])
    assert isinstance(choice.network, OnnxNetwork) == (choice.backend == "onnx")
    assert str(choice).startswith(f"backend: {choice.backend} (24×16 pixels: torch ")


@pytest.mark.parametrize("bfloat16", [False, True])
def test_pytorch_is_tried_as_it_will_be_run(monkeypatch: pytest.MonkeyPatch, bfloat16: bool) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)  # PyTorch alone: what an export gives a network is of no interest
    network = debug("srcnn", channels=1, upsampler="pixel_shuffle", residual=False).build()
    network.to(memory_format=torch.contiguous_format)
    tried = []
    network.register_forward_pre_hook(
        lambda _, given: tried.append((given[0].stride(), torch.is_autocast_enabled("cpu")))
    )
    choice = choose(network, 5, 7, bfloat16)
    assert set(tried) == {((35, 1, 7, 1), bfloat16)}
    four_dimensional = [weight for weight in network.parameters() if weight.ndim == 4]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in four_dimensional)
    called = "torch in bfloat16" if bfloat16 else "torch"
    assert str(choice) == (
        f"backend: torch (7×5 pixels: {called} {choice.seconds['torch']:.3g} s; onnx: onnx not installed)"
    )


def test_the_backend_receives_the_precision_of_pytorch(tmp_path: Path) -> None:
    add_model(tmp_path, "measured", 36.5)  # bfloat16 costs it 0.001 dB
    fast = has_fast_bfloat16(torch.device("cpu"))
    unmeasured = debug("srcnn").build()
    received = []
    for model in (tmp_path / "measured.safetensors", unmeasured):
        for precision in ("auto", "float32", "bfloat16"):
            load_upscaler(model, precision=precision, backend=lambda net, bfloat16: received.append(bfloat16) or net)
    assert received == [fast, False, True, False, False, True]


def test_an_unknown_backend_is_named() -> None:
    for name in (*BACKENDS, AUTO):
        check_name(name)
    with pytest.raises(NitidoError, match="unknown backend 'onx': did you mean 'onnx'"):
        check_name("onx")


def test_a_flipped_bit_is_detected(tiny: Exported, tmp_path: Path) -> None:
    content, path = tiny.path.read_bytes(), tmp_path / "flipped.onnx"
    random = Random(1)
    checksum = range(len(content) - 120, len(content))  # with its key and tags
    for place in [*random.sample(range(len(content)), 100), *checksum]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << random.randrange(8)
        path.write_bytes(damaged)
        refused(path, "damaged")


def test_a_file_of_an_earlier_version_has_no_checksum(tiny: Exported, tmp_path: Path) -> None:
    assert load_onnx_file(altered(tiny, tmp_path / "old.onnx")).scale == 2


def refused(path: Path, message: str) -> None:
    with pytest.raises(ModelFileError, match=message) as raised:
        load_onnx_file(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def another_graph(tiny: Exported, path: Path, graph: onnx.GraphProto, functions: bool = False) -> Path:
    """The file of an earlier version with another graph under its descriptor."""
    model = onnx.load(altered(tiny, path))
    model.graph.CopyFrom(graph)
    if functions:
        node = onnx.helper.make_node("Relu", ["a"], ["b"])
        opsets = [onnx.helper.make_opsetid("", 20)]
        model.functions.append(onnx.helper.make_function("own", "f", ["a"], ["b"], [node], opsets))
    path.write_bytes(model.SerializeToString())
    return path


def graph_of(*nodes: onnx.NodeProto, weights: Sequence[onnx.TensorProto] = ()) -> onnx.GraphProto:
    shape = [None, 3, None, None]
    given, made = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("lr", "sr"))
    return onnx.helper.make_graph(nodes, "graph", [given], [made], weights)


def endless_loop() -> onnx.GraphProto:
    """A loop of 2^62 rounds, which is computed as a constant while the graph is read."""
    going = onnx.helper.make_tensor_value_info("going", onnx.TensorProto.BOOL, [])
    rounds = onnx.helper.make_tensor_value_info("round", onnx.TensorProto.INT64, [])
    more = onnx.helper.make_tensor_value_info("more", onnx.TensorProto.BOOL, [])
    body = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["going"], ["more"])], "b", [rounds, going], [more]
    )
    return graph_of(
        onnx.helper.make_node("Loop", ["count", "true"], [], body=body),
        onnx.helper.make_node("Relu", ["lr"], ["sr"]),
        weights=[
            onnx.helper.make_tensor("count", onnx.TensorProto.INT64, [], [1 << 62]),
            onnx.helper.make_tensor("true", onnx.TensorProto.BOOL, [], [True]),
        ],
    )


def huge_constant(side: int) -> onnx.GraphProto:
    shape = onnx.helper.make_tensor("shape", onnx.TensorProto.INT64, [4], [1, 3, side, side])
    return graph_of(
        onnx.helper.make_node("ConstantOfShape", ["shape"], ["huge"]),
        onnx.helper.make_node("ReduceSum", ["huge"], ["sum"], keepdims=0),
        onnx.helper.make_node("Add", ["lr", "sum"], ["sr"]),
        weights=[shape],
    )


def weights_elsewhere() -> onnx.GraphProto:
    weight = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [1], bytes(4), raw=True)
    onnx.external_data_helper.set_external_data(weight, "/etc/passwd", 0, 4)
    weight.data_location = onnx.TensorProto.EXTERNAL
    return graph_of(onnx.helper.make_node("Mul", ["lr", "w"], ["sr"]), weights=[weight])


FOREIGN_GRAPHS = {
    "a loop without end": (endless_loop, "control flow"),
    "weights elsewhere": (weights_elsewhere, "weights in another file"),
    "other operators": (lambda: graph_of(onnx.helper.make_node("X", ["lr"], ["sr"], domain="x.y")), "ONNX's own"),
    "functions": (lambda: graph_of(onnx.helper.make_node("Relu", ["lr"], ["sr"])), "functions"),
    "twelve terabytes": (lambda: huge_constant(1_000_000), "damaged|does not match its descriptor"),
    "twelve gigabytes": (lambda: huge_constant(32_000), "damaged|does not match its descriptor"),
    "no operator of that name": (lambda: graph_of(onnx.helper.make_node("Nothing", ["lr"], ["sr"])), "not a readable"),
    "as large as before": (lambda: graph_of(onnx.helper.make_node("Relu", ["lr"], ["sr"])), "its descriptor states"),
}


@pytest.mark.parametrize("kind", FOREIGN_GRAPHS)
def test_unusual_graphs_are_refused(tiny: Exported, tmp_path: Path, kind: str) -> None:
    make, message = FOREIGN_GRAPHS[kind]
    path = another_graph(tiny, tmp_path / "a.onnx", make(), functions=kind == "functions")
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    refused(path, message)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 2_500_000
    assert time.monotonic() - start < 90


def test_a_file_that_does_not_end_in_time(tiny: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nitido.models.onnx.trial.SECONDS", 0.01)
    refused(tiny.path, "did not end within 0.01 s")


def test_bytes_that_are_not_a_message(tiny: Exported, tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    for content in (b"", b"\xff" * 40, b"\x3a\xff\xff\xff\xff\x0f", b"\x3a\x02\x0a\x05", b"\x72\x03\x0a\x01\xff"):
        path.write_bytes(content)
        refused(path, "not a readable ONNX file|not exported")
