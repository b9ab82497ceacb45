"""Chooses how the steps of a run are computed on this machine: number format and code, by a short benchmark."""

import copy
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from pydantic import AliasChoices, Field, ValidationError
from torch import Tensor

from nitido import kernels
from nitido.architectures import SuperResolutionNetwork
from nitido.base.activity import activity
from nitido.base.clock import seconds_per_call
from nitido.base.device import device_label
from nitido.base.json_files import DamagedFileError, read_json, write_json
from nitido.base.notes import note
from nitido.base.validation import ConfigError, StrictModel, describe
from nitido.kernels.compiler import compiler_problem, is_compiler_installed
from nitido.models.bfloat16 import has_fast_bfloat16
from nitido.training.hyperparameters import Compile, Hyperparameters
from nitido.training.memory.available import available_memory
from nitido.training.memory.step import patches_that_fit
from nitido.training.precision import Format, autocast, has_fast_float16, resolve_precision

FILE = "fast_path.json"
"""Name of the fast path's file in a run directory."""

COMPILING = 60.0
"""Seconds that a compiler may take; compiling must save more than this in a run."""

LARGEST_GAIN = 0.3
"""Maximum share of a step that `torch.compile` saved in measurements; convolutions are library calls in any case."""

WORTH_IT = 0.03
"""Minimum share of a step that must be saved, because smaller differences are within the noise of a benchmark."""

FEWEST_STEPS = 500
"""Minimum number of steps for which a benchmark is worthwhile."""

SHORTEST = 60.0
"""Minimum duration of all steps in seconds for which a faster path is considered.

For shorter runs little can be gained, and their results do not depend on a benchmark.
"""

Step = Callable[[Tensor], Tensor]


class FastPath(StrictModel):
    """The number format and the code that compute the steps of a run.

    `compiled` means `torch.compile`, `kernels` nitido's kernels; at most one is true. `reason` explains the choice,
    with the measurements of the benchmark if there was one. `threads` is the number of threads on the CPU, on which the
    order of sums depends; None on other devices, and in files of version 0.1.
    """

    precision: Format
    compiled: bool
    kernels: bool = False
    threads: int | None = Field(default=None, ge=1)
    reason: str = Field(validation_alias=AliasChoices("reason", "because"))  # "because" in files of version 0.1

    @property
    def as_option(self) -> Compile:
        """The value of the hyperparameter `compile` that selects the same path without a benchmark."""
        return "kernels" if self.kernels else self.compiled

    def forward(self, network: SuperResolutionNetwork) -> Step:
        """Return the function that computes the output of `network` in a training step; weights are shared."""
        if self.kernels:
            return with_kernels(network)
        return compiled(network) if self.compiled else network


def with_kernels(network: SuperResolutionNetwork) -> kernels.AcceleratedNetwork:
    """Return `network` with nitido's kernels; raise `KernelsUnavailableError` if they are not available."""
    return kernels.AcceleratedNetwork(network, kernels.load())


def compiled(network: SuperResolutionNetwork) -> Step:
    """Return `network` compiled by PyTorch; compilation happens at the first call, for its shapes."""
    torch._inductor.config.compile_threads = 1  # otherwise a pool of processes, each of which loads PyTorch
    logging.getLogger("torch.utils.cpp_extension").addFilter(_misses_no_cuda)
    step: Step = torch.compile(network, dynamic=False)
    return step


def _misses_no_cuda(record: logging.LogRecord) -> bool:
    """Return whether a log record is not PyTorch's message that no CUDA runtime was found."""
    return not str(record.msg).startswith("No CUDA runtime is found")


def load_or_choose(
    file: Path, network: SuperResolutionNetwork, options: Hyperparameters, steps: int, device: torch.device
) -> FastPath:
    """Return the fast path stored in `file` if the run has started before; otherwise choose one and store it.

    Raises:
        DamagedFileError: The file is damaged.
        ConfigError: The file is invalid, requires a compiler that is missing, or does not fit `device`.
    """
    if file.exists():
        return _read(file, options, device)
    threads = torch.get_num_threads() if device.type == "cpu" else None
    chosen = choose(network, options, steps, device).model_copy(update={"threads": threads})
    write_json(file, chosen.model_dump(mode="json"))
    return chosen


@contextmanager
def recorded_threads(file: Path) -> Iterator[None]:
    """Compute with as many threads as the run with the fast path `file` began with, so that its bits stay the same.

    A run that has not begun, or whose file is damaged or does not say it, has the current number of threads.
    """
    current = torch.get_num_threads()
    try:
        recorded = FastPath.model_validate(read_json(file, "")).threads if file.exists() else None
    except (DamagedFileError, ValidationError):  # reported where the fast path itself is read
        recorded = None
    if recorded is None or recorded == current:
        yield
        return
    number = f"{recorded} thread{'s' if recorded > 1 else ''}"
    note(f"{file.parent} continues with {number} as it began: its results depend on it")
    torch.set_num_threads(recorded)
    try:
        yield
    finally:
        torch.set_num_threads(current)


def _read(file: Path, options: Hyperparameters, device: torch.device) -> FastPath:
    remedy = "delete it, and a fast path is chosen again"
    values = read_json(file, remedy)
    try:
        found = FastPath.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{describe(error, FastPath, str(file))}; {remedy}") from None
    float16_of_a_card = found.precision == "float16" and options.precision == "auto"
    if (found.kernels and device.type != "cpu") or (float16_of_a_card and device.type == "cpu"):
        began = "the processor: use --device cpu" if found.kernels else "a graphics card: use --device cuda:0"
        raise ConfigError(f"{file}: the run cannot be resumed on {device_label(device)}, as it began on {began}")
    if found.compiled and (missing := compiler_problem()):
        raise ConfigError(f"{file}: a compiled run, but there is {missing} here; {remedy}")
    if found.kernels:
        try:
            kernels.load()
        except kernels.KernelsUnavailableError as error:
            raise ConfigError(f"{file}: a run with nitido's kernels, but {error}; {remedy}") from None
    return found


@activity("measuring the fastest way to compute a step")
def choose(network: SuperResolutionNetwork, options: Hyperparameters, steps: int, device: torch.device) -> FastPath:
    """Choose the fast path for `steps` steps of `network` on `device`; the network is not changed.

    The number format depends on the hardware, not on a benchmark, so that all runs of a study are trained in the same
    way.

    Raises:
        ConfigError: compile=true or compile=kernels is impossible.
    """
    precision = resolve_precision(options, device)

    def fast_path(reason: str, *, compiled: bool = False, kernels: bool = False) -> FastPath:
        return FastPath(precision=precision, compiled=compiled, kernels=kernels, reason=reason)

    if options.compile is False:
        return fast_path("compile=false")
    if missing := compiler_problem():
        if options.compile != "auto":
            raise ConfigError(
                f"compile={str(options.compile).lower()}, but there is {missing}: install one, or compile=false"
            )
        return fast_path(f"{missing} on this machine")
    if options.compile is True:
        return fast_path("compile=true", compiled=True)
    if options.compile == "kernels":
        if refusal := why_no_kernels(network, precision, device):
            raise ConfigError(f"compile=kernels, but {refusal}: use compile=auto")
        return fast_path("compile=kernels", kernels=True)
    if steps < FEWEST_STEPS:
        return fast_path(f"{steps} steps are too few for compilation to pay off")
    micro_batch = _patches_that_fit(network, options, precision, device)

    few = options.model_copy(update={"batch": micro_batch})

    def time_of(prepare: Callable[[SuperResolutionNetwork], Step]) -> float:
        return options.batch / micro_batch * probe(network, few, precision, device, prepare)

    seconds = {"as it is": time_of(_as_it_is)}
    if steps * seconds["as it is"] < SHORTEST:
        return fast_path(f"about {steps * seconds['as it is']:.0f} s of steps are too few for compilation to pay off")
    refusal = why_no_kernels(network, precision, device)
    if not refusal:
        seconds["with nitido's kernels"] = time_of(with_kernels)
    best = min(seconds.values())
    notes = [f"nitido's kernels are not used: {refusal}"] if refusal and precision == "bfloat16" else []
    if steps * best * LARGEST_GAIN < COMPILING:
        notes.append(f"about {steps * best:.0f} s of steps are too few for PyTorch's compiler to pay off")
    elif best < (1 - LARGEST_GAIN) * seconds["as it is"]:
        notes.append("PyTorch's compiler was not tried, because it has never saved as much as the kernels")
    else:
        try:
            seconds["as compiled code"] = time_of(compiled)
        except Exception as error:  # torch.compile may raise anything, and the run does not need it
            reason = str(error).strip() or type(error).__name__
            notes.append(f"the compiler failed: {reason.splitlines()[0]}")
    if len(seconds) > 1:  # other load may have affected the first measurement; compiling again would take too long
        again: dict[str, Callable[[SuperResolutionNetwork], Step]]
        again = {"as it is": _as_it_is, "with nitido's kernels": with_kernels}
        for way, prepare in again.items():
            if way in seconds:
                seconds[way] = min(seconds[way], time_of(prepare))
    fastest = min(seconds, key=lambda way: seconds[way])
    if 1 - seconds[fastest] / seconds["as it is"] <= WORTH_IT:
        fastest = "as it is"
    measured = "a step takes " + ", ".join(f"{value:.3g} s {way}" for way, value in seconds.items())
    return fast_path(
        "; ".join([measured, *notes]),
        compiled=fastest == "as compiled code",
        kernels=fastest == "with nitido's kernels",
    )


def why_no_kernels(network: SuperResolutionNetwork, precision: Format, device: torch.device) -> str | None:
    """Return why nitido's kernels cannot compute the steps of `network`; None if they can."""
    if device.type != "cpu" or precision != "bfloat16":
        return f"they are for bfloat16 on the CPU, not for {precision} on {device.type}"
    try:
        in_use = with_kernels(network).replaced_layers
    except kernels.KernelsUnavailableError as error:
        return str(error)
    return None if in_use else "they support none of the network's convolutions"


def _as_it_is(network: SuperResolutionNetwork) -> Step:
    return network


def probe(
    network: SuperResolutionNetwork,
    options: Hyperparameters,
    precision: Format,
    device: torch.device,
    prepare: Callable[[SuperResolutionNetwork], Step],
) -> float:
    """Return the seconds of a forward and backward pass of a copy of `network`: the minimum of five, after a warm-up.

    The minimum is used because other load can only make a step slower.
    """
    step = prepare(copy.deepcopy(network).to(device).train())
    lr = noise(options.batch, network.channels, options.patch, device)
    compute_step(step, lr, precision)
    return min(seconds_per_call(lambda: compute_step(step, lr, precision), 1, device) for _ in range(5))


def _patches_that_fit(
    network: SuperResolutionNetwork, options: Hyperparameters, precision: Format, device: torch.device
) -> int:
    """Return how many patches of a step fit into memory together, considering `network` only."""
    available = available_memory(device)
    if available is None:
        return options.batch
    accelerated = copy.deepcopy(network).to(device).train()

    def step(patches: int) -> None:
        compute_step(accelerated, noise(patches, network.channels, options.patch, device), precision)

    return patches_that_fit(options.batch, available, step)


def noise(patches: int, channels: int, side: int, device: torch.device) -> Tensor:
    """Return LR patches of random values in [0, 1], (N, C, H, W) in channels-last layout."""
    lr = torch.rand(patches, channels, side, side, device=device)
    return lr.contiguous(memory_format=torch.channels_last)


def compute_step(step: Step, lr: Tensor, precision: Format) -> None:
    """Compute a forward and a backward pass of `lr`, float (N, C, H, W)."""
    with autocast(lr.device, precision):
        sr = step(lr)
    sr.float().abs().mean().backward()  # type: ignore[no-untyped-call]


def describe_machine(device: torch.device) -> str:
    """Return one line about what training on `device` can use and what is missing."""
    threads = torch.get_num_threads()
    where = f"{threads} thread{'s' if threads > 1 else ''}" if device.type == "cpu" else device_label(device)
    if has_fast_bfloat16(device):
        number_format = "bfloat16"
    else:
        instead = "float16" if has_fast_float16(device) else "float32"
        number_format = f"no bfloat16 in hardware: steps in {instead}"
    missing = compiler_problem() if is_compiler_installed() else "no C++ compiler"
    compiler = "C++ compiler found" if missing is None else f"{missing}: steps are not compiled"
    return "; ".join([where, number_format, compiler])
