"""How many seconds from nothing to a network on disk that is as good on Set5 ×2 as a published one.

Every repeat is a fresh process of `nitido train` with caches of its own: the time counts from before the process
starts to its end, with the start of Python, the decoding of all images, every validation, the compiler if the run
has one, and the one test on Set5. The exit code is 0 when every repeat reached the figure within the limit.
docs/speedrun.md has the rules.

Example: python benchmarks/time_to_quality.py srcnn --repeat 3 --json srcnn.json
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from nitido.base.device import choose_device
from nitido.base.errors import NitidoError
from nitido.benchmarking.machine_info import machine_info
from nitido.benchmarking.time_to_quality import (
    TARGETS,
    Recipe,
    Repeat,
    Spread,
    Target,
    TimeToQuality,
    find_target,
    read_repeat,
)
from nitido.cli.console import JSON_TO_STDOUT, print_table, write_json_output


def cold(environment: Mapping[str, str], caches: Path) -> dict[str, str]:
    """The environment with empty caches: images are decoded, and code is compiled, within the time."""
    return {
        **environment,
        "NITIDO_CACHE": str(caches / "nitido"),
        "TORCHINDUCTOR_CACHE_DIR": str(caches / "compiled"),
    }


def repeat(recipe: Recipe, seed: int, out: Path) -> Repeat:
    """Train once into the new directory `out`; the training's progress and its errors go to standard error."""
    command = [sys.executable, "-m", "nitido", *recipe.arguments(seed, out)]
    with TemporaryDirectory(prefix="nitido-cold-") as caches:
        environment = cold(os.environ, Path(caches))
        started = time.perf_counter()
        ended = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
        seconds = time.perf_counter() - started
    return read_repeat(out, seed, seconds, ended.returncode)


def measure(target: Target, recipe: Recipe, repeats: int, out: Path) -> TimeToQuality:
    """Train with the seeds 0 to `repeats` - 1, each into a directory of its own in `out`."""
    found = tuple(repeat(recipe, seed, out / f"seed={seed}") for seed in range(repeats))
    where = machine_info(choose_device(), {"training": [one.seconds for one in found]})
    return TimeToQuality(target, recipe, found, where)


def print_outcome(outcome: TimeToQuality) -> None:
    """The repeats, their spread, and where they were measured."""
    target = outcome.target
    reached = sum(map(outcome.reached, outcome.repeats))
    print_table(
        f"{target.name}: {target.psnr:.2f} dB in less than {target.limit:.0f} s: {reached} of {len(outcome.repeats)}",
        ["seed", "seconds", "PSNR-Y, dB", "reached", "validation, dB", "steps", "best step"],
        [
            [
                f"{one.seed}",
                f"{one.seconds:.1f}",
                _decibels(one.psnr),
                "yes" if outcome.reached(one) else f"no{': ' if one.reason else ''}{one.reason}",
                _decibels(one.validation_psnr),
                f"{one.steps}",
                f"{one.best_step}",
            ]
            for one in outcome.repeats
        ],
    )
    spreads = [("seconds", outcome.seconds, 1), ("PSNR-Y, dB", outcome.psnr, 2)]
    lines = [_spread(name, spread, digits) for name, spread, digits in spreads if spread is not None]
    print_table("", ["", "min", "median", "max"], lines)
    print("\n".join([outcome.where.summary, *outcome.where.notes]))


def _decibels(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _spread(name: str, spread: Spread, digits: int) -> list[str]:
    return [name, *(f"{value:.{digits}f}" for value in (spread.min, spread.median, spread.max))]


def main(
    target: Annotated[str, typer.Argument(help=f"Whose figure: {' or '.join(TARGETS)}.")],
    repeats: Annotated[int, typer.Option("--repeat", min=1, help="How many trainings, with the seeds 0, 1, …")] = 1,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="As in nitido train, on top of the recipe; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A new directory that keeps the run directories. Default: none is kept.")
    ] = None,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE", help="Write the figures to FILE.")] = None,
) -> None:
    """Measure the seconds until a trained network on disk is as good on Set5 ×2 as a published one.

    Example: python benchmarks/time_to_quality.py vdsr --set steps=4000 --out runs/speedrun --json -
    """
    chosen = find_target(target)
    recipe = chosen.recipe.changed(set_ or [])
    chosen.check(recipe)
    if out is not None and out.exists():
        raise NitidoError(f"{out} is there already, and nothing is resumed: choose a new directory for --out")
    with TemporaryDirectory(prefix="nitido-time-to-quality-") as folder:
        outcome = measure(chosen, recipe, repeats, out or Path(folder))
    if json:
        write_json_output(outcome.as_json(), json)
    if json != JSON_TO_STDOUT:
        print_outcome(outcome)
    raise typer.Exit(0 if outcome.all_reached else 1)


if __name__ == "__main__":
    try:
        typer.run(main)
    except NitidoError as error:
        sys.exit(f"nitido: {error}")
