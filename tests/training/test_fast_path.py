"""Tests how the fast path is chosen and stored, and that its results agree."""

import logging
import re
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nitido.architectures import SuperResolutionNetwork, build, resolve_config
from nitido.base.errors import NitidoError
from nitido.base.json_files import read_json, signed_json, write_json
from nitido.base.validation import ConfigError
from nitido.data import Store
from nitido.kernels import compiler
from nitido.training import fast_path
from nitido.training.callbacks import TrainingInterruptedError
from nitido.training.fast_path import (
    FEWEST_STEPS,
    FILE,
    FastPath,
    choose,
    describe_machine,
    load_or_choose,
    recorded_threads,
)
from nitido.training.hyperparameters import Hyperparameters
from nitido.training.module import DivergedError
from tests.programs import require_compiler
from tests.training.small_runs import distance, network, options, run, stop_at

CPU = torch.device("cpu")
FALLING_BACK = "is not finite in bfloat16: the run continues in float32"


def remembered(directory: Path) -> FastPath:
    return FastPath.model_validate(read_json(directory / FILE, ""))


@pytest.fixture(scope="module", autouse=True)
def _compiler() -> None:
    """Most of what is chosen here depends on a compiler that works."""
    require_compiler()


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")


@pytest.fixture(scope="module")
def eager(small_store: Store, tmp_path_factory: pytest.TempPathFactory) -> SuperResolutionNetwork:
    return run(small_store, tmp_path_factory.mktemp("eager"), compile=False)


@pytest.fixture(scope="module")
def compiled(small_store: Store, tmp_path_factory: pytest.TempPathFactory) -> tuple[SuperResolutionNetwork, Path]:
    """The network of a real compiled training, and its directory."""
    directory = tmp_path_factory.mktemp("compiled")
    return run(small_store, directory, compile=True), directory


@pytest.mark.parametrize("wanted", [False, True])
def test_an_explicit_choice_is_not_benchmarked(wanted: bool) -> None:
    chosen = choose(network(), options(compile=wanted), 100_000, CPU)
    assert (chosen.compiled, chosen.reason) == (wanted, f"compile={str(wanted).lower()}")


def test_a_short_run_is_not_compiled() -> None:
    chosen = choose(network(), options(compile="auto"), FEWEST_STEPS - 1, CPU)
    assert not chosen.compiled
    assert "499 steps are too few" in chosen.reason


def test_a_run_of_many_fast_steps_is_not_compiled() -> None:
    chosen = choose(network(), options(compile="auto", batch=1), FEWEST_STEPS, CPU)
    assert not chosen.compiled
    assert "s of steps are too few" in chosen.reason


def test_a_long_run_is_decided_by_what_the_probe_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_path, "SHORTEST", 0.0)
    monkeypatch.setattr(fast_path, "COMPILING", 0.0)
    chosen = choose(network(), options(compile="auto"), FEWEST_STEPS, CPU)
    found = re.fullmatch(r"a step takes (\S+) s as it is, (\S+) s as compiled code", chosen.reason)
    assert found
    slow, fast = map(float, found.groups())
    assert chosen.compiled == (1 - fast / slow > fast_path.WORTH_IT)


@pytest.mark.parametrize(
    ("measured", "compiled"), [([0.8, 0.5, 0.4], False), ([0.4, 0.5, 0.8], False), ([0.8, 0.3, 0.4], True)]
)
def test_eager_steps_are_measured_before_and_after_compiling(
    monkeypatch: pytest.MonkeyPatch, measured: list[float], compiled: bool
) -> None:
    """A machine that was slow for a moment, before or after, must not favor the compiler."""
    seconds = iter(measured)
    monkeypatch.setattr(fast_path, "probe", lambda *_: next(seconds))
    assert choose(network(), options(compile="auto"), 100_000, CPU).compiled is compiled


def test_kernels_are_measured_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eager steps, kernels and compiled code are measured, then the first two again."""
    seconds = iter([0.26, 0.41, 0.3, 0.25, 0.18])
    monkeypatch.setattr(fast_path, "why_no_kernels", lambda *_: None)
    monkeypatch.setattr(fast_path, "probe", lambda *_: next(seconds))
    assert choose(network(), options(compile="auto", precision="bfloat16"), 100_000, CPU).kernels


@pytest.mark.parametrize(
    ("measured", "taken"),
    [
        ({"as it is": 0.5, "kernels": 0.36, "compiled": 0.4}, "kernels"),
        ({"as it is": 0.5, "kernels": 0.4, "compiled": 0.3}, True),
        ({"as it is": 0.5, "kernels": 0.49, "compiled": 0.6}, False),
    ],
)
def test_the_fastest_of_three_paths_is_chosen(
    monkeypatch: pytest.MonkeyPatch, measured: dict[str, float], taken: object
) -> None:
    ways = {fast_path.with_kernels: "kernels", fast_path.compiled: "compiled"}
    monkeypatch.setattr(fast_path, "why_no_kernels", lambda *_: None)
    monkeypatch.setattr(fast_path, "probe", lambda *given: measured[ways.get(given[-1], "as it is")])
    chosen = choose(network(), options(compile="auto", precision="bfloat16"), 100_000, CPU)
    assert chosen.as_option == taken
    seconds = ", ".join(
        f"{measured[way]} s {words}"
        for way, words in (("as it is",) * 2, ("kernels", "with nitido's kernels"), ("compiled", "as compiled code"))
    )
    assert chosen.reason == f"a step takes {seconds}"


def test_the_compiler_is_not_tried_if_kernels_save_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(*given: object) -> float:
        assert given[-1] is not fast_path.compiled
        return 0.3 if given[-1] is fast_path.with_kernels else 0.5

    monkeypatch.setattr(fast_path, "why_no_kernels", lambda *_: None)
    monkeypatch.setattr(fast_path, "probe", measured)
    chosen = choose(network(), options(compile="auto", precision="bfloat16"), 100_000, CPU)
    assert chosen.kernels
    assert chosen.reason == (
        "a step takes 0.5 s as it is, 0.3 s with nitido's kernels; "
        "PyTorch's compiler was not tried, because it has never saved as much as the kernels"
    )


def test_kernels_are_for_bfloat16() -> None:
    with pytest.raises(ConfigError, match="compile=kernels, but they are for bfloat16 on the CPU, not for float32"):
        choose(network(), options(compile="kernels"), 8, CPU)


def test_a_network_that_gains_nothing_by_kernels_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class WithoutKernels:
        replaced_layers = 0

    monkeypatch.setattr(fast_path, "with_kernels", lambda network: WithoutKernels())
    with pytest.raises(ConfigError, match="compile=kernels, but they support none of the network's convolutions"):
        choose(network(), options(compile="kernels", precision="bfloat16"), 8, CPU)


@pytest.fixture
def no_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)


@pytest.mark.usefixtures("no_bfloat16")
def test_without_bfloat16_in_hardware_the_reason_for_no_kernels_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_path, "SHORTEST", 0.0)
    chosen = choose(network(), options(compile="auto", precision="bfloat16"), FEWEST_STEPS, CPU)
    assert chosen.as_option is False
    assert (
        "nitido's kernels are not used: the processor has neither matrix tiles (AMX) nor bfloat16 vectors"
        in chosen.reason
    )


def test_a_short_run_does_not_depend_on_a_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    """For example the runs of a demo, whose figures must be reproducible."""
    monkeypatch.setattr(fast_path, "probe", lambda *_: 0.059)
    monkeypatch.setattr(fast_path, "why_no_kernels", lambda *_: pytest.fail("looked for kernels"))
    chosen = choose(network(), options(compile="auto", precision="bfloat16"), 1000, CPU)
    assert chosen.reason == "about 59 s of steps are too few for compilation to pay off"


@pytest.mark.usefixtures("no_bfloat16")
def test_a_run_with_kernels_is_not_resumed_without_them(tmp_path: Path) -> None:
    file = tmp_path / FILE
    write_json(file, {"precision": "bfloat16", "compiled": False, "kernels": True, "reason": "compile=kernels"})
    with pytest.raises(
        ConfigError, match=r"a run with nitido's kernels, but the processor has neither .* \(AVX512-BF16\); delete it"
    ):
        load_or_choose(file, network(), options(), 8, CPU)


def test_the_probe_takes_the_fastest_step() -> None:
    delays = iter([0.5, 0.5, 0.5, 0.0, 0.5, 0.5])

    def slow_now_and_then(network: SuperResolutionNetwork):
        return lambda lr: (time.sleep(next(delays)), network(lr))[1]

    assert fast_path.probe(network(), options(), "float32", CPU, slow_now_and_then) < 0.4


def test_the_benchmark_does_not_change_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_path, "SHORTEST", 0.0)
    monkeypatch.setattr(fast_path, "COMPILING", 0.0)
    probed = network()
    choose(probed, options(compile="auto"), FEWEST_STEPS, CPU)
    assert distance(probed, network()) == 0
    assert all(parameter.grad is None for parameter in probed.parameters())


def test_with_little_memory_fewer_patches_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = []

    def probe(network: object, options: Hyperparameters, *_: object) -> float:
        batches.append(options.batch)
        return 0.5

    monkeypatch.setattr(fast_path, "available_memory", lambda device: 1)
    monkeypatch.setattr(fast_path, "probe", probe)
    monkeypatch.setattr(fast_path, "why_no_kernels", lambda *_: "not here")
    chosen = choose(network(), options(compile="auto", batch=8), FEWEST_STEPS, CPU)
    assert set(batches) == {1}
    assert "a step takes 4 s as it is" in chosen.reason


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_precision_asked_for_is_taken(precision: str) -> None:
    assert choose(network(), options(precision=precision), 1, CPU).precision == precision


@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_a_run_is_eager_and_the_reason_is_recorded(
    small_store: Store, tmp_path: Path, eager
) -> None:
    trained = run(small_store, tmp_path, compile="auto")
    assert remembered(tmp_path).compiled is False
    assert remembered(tmp_path).reason == "no C++ compiler (no-such-compiler) on this machine"
    assert distance(trained, eager) == 0


def test_a_search_path_without_a_compiler_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no C++ compiler" in choose(network(), options(compile="auto"), 100_000, CPU).reason


@pytest.mark.usefixtures("no_compiler")
def test_compiling_without_a_compiler_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"compile=true, but there is no C\+\+ compiler \(no-such-compiler\): install one"
    ):
        choose(network(), options(compile=True), 8, CPU)


def test_a_compiled_run_ends_where_an_eager_one_does(eager, compiled) -> None:
    trained, directory = compiled
    assert remembered(directory) == FastPath(
        precision="float32", compiled=True, threads=torch.get_num_threads(), reason="compile=true"
    )
    assert distance(trained, network()) > 1e-3, "it must have learned something"
    assert distance(trained, eager) < 1e-4


def test_only_that_message_is_suppressed(caplog: pytest.LogCaptureFixture, compiled) -> None:
    logger = logging.getLogger("torch.utils.cpp_extension")
    logger.warning("No CUDA runtime is found, using CUDA_HOME='%s'", "/usr/local")
    logger.warning("another %s", "message")
    assert [record.getMessage() for record in caplog.records] == ["another message"]


def test_a_resumed_compiled_run_has_the_same_bits(small_store: Store, tmp_path: Path, compiled) -> None:
    with pytest.raises(TrainingInterruptedError):
        run(small_store, tmp_path, listener=stop_at(5), compile=True)
    assert distance(run(small_store, tmp_path, compile=True), compiled[0]) == 0


def test_a_compiled_run_may_average_its_weights(small_store: Store, tmp_path: Path) -> None:
    averaged = run(small_store, tmp_path / "compiled", compile=True, ema=0.8)
    assert distance(averaged, run(small_store, tmp_path / "eager", compile=False, ema=0.8)) < 1e-4


def test_a_resumed_run_keeps_its_fast_path(tmp_path: Path) -> None:
    file = tmp_path / FILE
    first = load_or_choose(file, network(), options(compile=False), 8, CPU)
    written = file.read_text()
    assert load_or_choose(file, network(), options(compile=True, precision="bfloat16"), 8, CPU) == first
    assert file.read_text() == written
    threads = torch.get_num_threads()
    chosen = {
        "precision": "float32",
        "compiled": False,
        "kernels": False,
        "threads": threads,
        "reason": "compile=false",
    }
    assert read_json(file, "") == chosen


def test_a_resumed_run_keeps_its_number_of_threads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, before = tmp_path / FILE, torch.get_num_threads()
    with recorded_threads(file):
        assert torch.get_num_threads() == before, "a new run has the current number"
    other = before + 1
    torch.set_num_threads(other)
    load_or_choose(file, network(), options(compile=False), 8, CPU)
    torch.set_num_threads(before)
    with recorded_threads(file):
        assert torch.get_num_threads() == other
    assert torch.get_num_threads() == before
    assert f"continues with {other} threads as it began" in capsys.readouterr().err
    for content in ("{", signed_json({"precision": "float32", "compiled": False, "reason": "of version 0.1"})):
        file.write_text(content)
        with recorded_threads(file):
            assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", " is damaged (not valid JSON)"),
        (b'{"precision": "float32"', " is damaged (not valid JSON)"),
        (b"\xff\x00", " is damaged (not valid JSON)"),
        (bytes(200), " is damaged (not valid JSON)"),
        (b"[" * 100_000, " is damaged (not valid JSON)"),
        (b"[]", " is damaged (expected a JSON object)"),
        (b"null", " is damaged (expected a JSON object)"),
        (b"{}", " is damaged (its checksum is missing)"),
    ],
)
def test_a_damaged_file_gives_one_line(small_store: Store, tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(NitidoError) as refused:
        run(small_store, tmp_path)
    line = str(refused.value)
    assert line.startswith(f"{tmp_path / FILE}{problem}")
    assert line.endswith("delete it, and a fast path is chosen again")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, ": precision: field required"),
        ({"precision": "float8", "compiled": True, "reason": ""}, ": precision: "),
        ({"precision": "float32", "compiled": "maybe", "reason": ""}, ": compiled: "),
        ({"precision": "float32", "compiled": [], "reason": ""}, ": compiled: "),
        ({"precision": "float32", "compiled": True}, ": reason: field required"),
        ({"precision": "float32", "compiled": True, "reason": "", "more": 1}, ": "),
    ],
)
def test_a_file_of_another_layout_gives_one_line(
    small_store: Store, tmp_path: Path, values: dict[str, object], problem: str
) -> None:
    write_json(tmp_path / FILE, values)
    with pytest.raises(NitidoError) as refused:
        run(small_store, tmp_path)
    line = str(refused.value)
    assert line.startswith(f"{tmp_path / FILE}{problem}")
    assert line.endswith("delete it, and a fast path is chosen again")
    assert "\n" not in line


def test_a_file_with_modified_content_is_damaged(tmp_path: Path) -> None:
    file = tmp_path / FILE
    load_or_choose(file, network(), options(compile=False), 8, CPU)
    file.write_text(file.read_text().replace("float32", "bfloat16"))
    with pytest.raises(NitidoError, match=r"fast_path\.json is damaged .* checksum\): delete it"):
        load_or_choose(file, network(), options(), 8, CPU)


def test_a_file_without_the_field_for_kernels_is_read(tmp_path: Path) -> None:
    values = {"precision": "float32", "compiled": False, "reason": "compile=false"}
    write_json(tmp_path / FILE, values)
    assert load_or_choose(tmp_path / FILE, network(), options(), 8, CPU).reason == "compile=false"


@pytest.mark.parametrize(
    ("path", "device", "refusal"),
    [
        (
            FastPath(precision="bfloat16", compiled=False, kernels=True, reason="measured"),
            torch.device("mps"),
            "the run cannot be resumed on mps, as it began on the processor: use --device cpu",
        ),
        (
            FastPath(precision="float16", compiled=False, reason="measured"),
            CPU,
            "the run cannot be resumed on cpu, as it began on a graphics card: use --device cuda:0",
        ),
    ],
    ids=["kernels", "float16"],
)
def test_a_run_that_needs_its_device_is_not_resumed_on_another(
    tmp_path: Path, path: FastPath, device: torch.device, refusal: str
) -> None:
    write_json(tmp_path / FILE, path.model_dump(mode="json"))
    with pytest.raises(ConfigError) as refused:
        load_or_choose(tmp_path / FILE, network(), options(precision="auto"), 8, device)
    assert str(refused.value) == f"{tmp_path / FILE}: {refusal}"


def test_a_compiler_that_hangs_leaves_a_run_uncompiled_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "hangs"
    script.write_text("#!/bin/sh\nsleep 1000\n")
    script.chmod(0o755)
    monkeypatch.setenv("CXX", str(script))
    monkeypatch.setattr(compiler, "TRIAL_SECONDS", 0.5)
    problem = f"no working C++ compiler ({script}: it did not end within 0.5 s)"
    assert choose(network(), options(compile="auto"), 100_000, CPU).reason == f"{problem} on this machine"
    assert describe_machine(CPU).endswith(f"; {problem}: steps are not compiled")
    with pytest.raises(ConfigError, match="compile=true, but there is no working C"):
        choose(network(), options(compile=True), 8, CPU)


@pytest.mark.usefixtures("no_compiler")
def test_a_compiled_run_is_not_resumed_without_a_compiler(tmp_path: Path) -> None:
    file = tmp_path / FILE
    write_json(file, {"precision": "float32", "compiled": True, "reason": "compile=true"})
    with pytest.raises(ConfigError, match=r"no C\+\+ compiler \(no-such-compiler\) here; delete it"):
        load_or_choose(file, network(), options(), 8, CPU)


class Overflowing(nn.Module):
    """The identity, whose bfloat16 output is infinite from its third call on."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self.calls = 0
        self.before = before

    def forward(self, features: Tensor) -> Tensor:
        self.calls += 1
        if features.dtype == torch.bfloat16 and self.training and self.calls > self.before:
            return features * torch.inf
        return features


def overflowing(before: int, architecture: str = "srcnn", **config: object) -> SuperResolutionNetwork:
    """A network that is too much for bfloat16 after so many steps in it."""
    torch.manual_seed(3)
    made = build(architecture, resolve_config(architecture, "debug", config))
    convolution = next(name for name, module in made.named_modules() if isinstance(module, nn.Conv2d))
    parent, _, child = convolution.rpartition(".")
    owner = made.get_submodule(parent)
    setattr(owner, child, nn.Sequential(getattr(owner, child), Overflowing(before)))
    return made


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("nitido")]


def test_a_step_that_overflows_in_bfloat16_continues_in_float32(
    small_store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changes = {"precision": "bfloat16", "compile": False}
    whole = run(small_store, tmp_path / "whole", overflowing(before=2), **changes)
    assert warnings_of(caplog) == [f"step 2 {FALLING_BACK}"]
    assert all(torch.isfinite(values).all() for values in whole.state_dict().values())
    assert remembered(tmp_path / "whole").precision == "bfloat16", "the file says how the run began"

    caplog.clear()
    with pytest.raises(TrainingInterruptedError):
        run(small_store, tmp_path / "half", overflowing(before=2), stop_at(5), **changes)
    assert len(warnings_of(caplog)) == 1
    caplog.clear()
    # The second network would bear bfloat16 to the end: only what the checkpoint says keeps it in float32.
    resumed = run(small_store, tmp_path / "half", overflowing(before=99), **changes)
    assert warnings_of(caplog) == []
    assert distance(resumed, whole) == 0


def test_a_fallback_in_the_first_step_equals_a_float32_run(small_store: Store, tmp_path: Path) -> None:
    fallen = run(small_store, tmp_path / "a", overflowing(before=0), precision="bfloat16", compile=False)
    expected = run(small_store, tmp_path / "b", overflowing(before=0), precision="float32", compile=False)
    assert distance(fallen, expected) == 0


def test_a_failed_attempt_does_not_change_batch_statistics(small_store: Store, tmp_path: Path) -> None:
    norm = {"architecture": "edsr", "block": "batch"}
    fallen = run(small_store, tmp_path / "a", overflowing(0, **norm), precision="bfloat16", compile=False)
    expected = run(small_store, tmp_path / "b", overflowing(0, **norm), precision="float32", compile=False)
    assert any(name.endswith("running_var") for name in fallen.state_dict())
    assert distance(fallen, expected) == 0


def test_an_adversarial_run_falls_back_too(
    small_store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    game = {
        "loss": {"l1": 1.0, "adversarial": 1e-3},
        "adversarial": {"discriminator": {"width": 4, "dense_width": 8}},
        "compile": False,
        "patch": 8,
    }
    metrics = ("psnr_y", "perceptual_distance")
    found = {
        precision: run(
            small_store,
            tmp_path / precision,
            overflowing(0, "srresnet", scale=2),
            metrics=metrics,
            precision=precision,
            **game,
        )
        for precision in ("bfloat16", "float32")
    }
    assert warnings_of(caplog) == [f"step 0 {FALLING_BACK}"]
    assert distance(found["bfloat16"], found["float32"]) == 0


def test_a_step_that_overflows_in_float32_ends_the_run(small_store: Store, tmp_path: Path) -> None:
    broken = network()
    with torch.no_grad():
        next(broken.parameters()).fill_(torch.inf)
    with pytest.raises(DivergedError, match="loss term 'l1' became nan at step 0"):
        run(small_store, tmp_path, broken, precision="bfloat16", compile=False)


def test_a_complete_machine_is_described_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_path, "has_fast_bfloat16", lambda device: True)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert describe_machine(CPU) == "2 threads; bfloat16; C++ compiler found"


@pytest.mark.usefixtures("no_compiler")
def test_missing_hardware_and_software_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_path, "has_fast_bfloat16", lambda device: False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert describe_machine(CPU) == (
        "1 thread; no bfloat16 in hardware: steps in float32; no C++ compiler: steps are not compiled"
    )


@pytest.mark.parametrize("step", [1, 6])
def test_a_resumed_run_with_muon_has_the_same_bits(small_store: Store, tmp_path: Path, step: int) -> None:
    def edsr() -> SuperResolutionNetwork:
        torch.manual_seed(3)
        return build("edsr", resolve_config("edsr", "debug", {"width": 8}))

    changes = {"optimizer": "muon", "weight_decay": 0.01, "ema": 0.8, "learning_rate": 3e-3}
    whole = run(small_store, tmp_path / "whole", edsr(), **changes)
    with pytest.raises(TrainingInterruptedError):
        run(small_store, tmp_path / "half", edsr(), stop_at(step), **changes)
    assert distance(run(small_store, tmp_path / "half", edsr(), **changes), whole) == 0
    assert distance(whole, edsr()) > 1e-3
