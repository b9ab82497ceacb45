"""Measure how long a browser takes to open the report of a study with all its images.

Example: python benchmarks/open_report.py runs/srcnn/report.html --json -
"""

import shutil
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from playwright.sync_api import sync_playwright

from nitido.base.errors import NitidoError
from nitido.cli.console import JSON_TO_STDOUT, print_table, write_json_output

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ALL_SHOWN = "[...document.querySelectorAll('.viewer img')].every(i => i.complete && i.naturalWidth)"


def seconds_to_open(page: Path, rounds: int) -> list[float]:
    """Return the seconds until every image is shown, in a new tab of a running browser each time."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise NitidoError(f"no browser: one of {', '.join(BROWSERS)} is needed")
    seconds = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        for _ in range(rounds):
            context = browser.new_context()
            tab = context.new_page()
            started = time.perf_counter()
            tab.goto(page.resolve().as_uri())
            tab.wait_for_function(ALL_SHOWN)
            seconds.append(time.perf_counter() - started)
            context.close()
        browser.close()
    return seconds


def example_page(folder: Path) -> Path:
    """Return the page of the tests: eight variants, three seeds, three images."""
    sys.path.append(str(Path(__file__).parents[1]))  # the tests are in the parent folder and not installed
    from tests.study.report.page import whole_page

    return whole_page(folder)


def main(
    page: Annotated[Path | None, typer.Argument(help="A report.html. Default: the tests' page.")] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    json: Annotated[str | None, typer.Option("--json", metavar="FILE", help="Write the figures to FILE.")] = None,
) -> None:
    """Time the opening of a page; the first time and the median of all."""
    with TemporaryDirectory() as folder:
        chosen = page or example_page(Path(folder))
        megabytes = chosen.stat().st_size / 1e6
        seconds = seconds_to_open(chosen, rounds)
    measured = {"megabytes": megabytes, "first_seconds": seconds[0], "median_seconds": median(seconds)}
    if json:
        write_json_output(measured, json)
    if json != JSON_TO_STDOUT:
        lines = [[f"{megabytes:.2f}", f"{seconds[0]:.2f}", f"{median(seconds):.2f}"]]
        print_table("Opening a report", ["MB", "seconds, first", "seconds, median"], lines)


if __name__ == "__main__":
    try:
        typer.run(main)
    except NitidoError as error:
        sys.exit(f"nitido: {error}")
