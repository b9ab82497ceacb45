"""The scalars of a run: written as strict JSON, read back whole, and damage is named."""

import json
import math
from pathlib import Path

import pytest

from nitido.base.json_files import DamagedFileError
from nitido.training.callbacks import JsonLines
from nitido.training.metrics_file import append_scalars, read_curve, read_scalars, read_validation, rewind


def refuse(constant: str) -> float:
    raise AssertionError(f"{constant} is not JSON")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "metrics.jsonl"
    append_scalars(path, 2, {"loss/l1": 0.5})
    append_scalars(path, 4, {"validation/psnr_y": 30.0, "validation/ssim_y": 0.9})
    append_scalars(path, 8, {"validation/psnr_y": 31.0, "validation/ssim_y": 0.91})
    return path


def test_logged_scalars_are_read_back(log: Path) -> None:
    assert [line["step"] for line in read_scalars(log)] == [2, 4, 8]
    assert read_curve(log, "psnr_y") == [(4, 30.0), (8, 31.0)]
    assert read_validation(log, 4) == {"psnr_y": 30.0, "ssim_y": 0.9}
    assert read_scalars(log.with_name("none.jsonl")) == []


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_no_infinity_reaches_the_file(log: Path, value: float) -> None:
    JsonLines(log).log_metrics({"gradient_norm": value, "validation/psnr_y": value}, 12)
    for line in log.read_text().splitlines():
        json.loads(line, parse_constant=refuse)
    assert read_scalars(log)[-1] == {"step": 12, "gradient_norm": None, "validation/psnr_y": None}
    assert read_curve(log, "psnr_y")[-1] == (8, 31.0)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_constants_of_earlier_versions_are_not_points(log: Path, value: str) -> None:
    with log.open("a") as file:
        file.write(f'{{"step": 12, "validation/psnr_y": {value}}}\n')
    assert read_curve(log, "psnr_y") == [(4, 30.0), (8, 31.0)]


def test_an_incomplete_line_is_skipped_and_dropped(log: Path) -> None:
    whole = log.read_bytes()
    with log.open("a") as file:
        file.write('{"step": 12, "validation/psn')
    assert [line["step"] for line in read_scalars(log)] == [2, 4, 8]
    rewind(log, 100)
    assert log.read_bytes() == whole


def test_rewinding_keeps_validations_up_to_the_step_and_losses_before_it(log: Path) -> None:
    append_scalars(log, 8, {"loss/l1": 0.1})
    rewind(log, 8)
    assert [sorted(line) for line in read_scalars(log) if line["step"] == 8] == [
        ["step", "validation/psnr_y", "validation/ssim_y"]
    ]
    rewind(log, 0)
    assert log.read_bytes() == b""


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"step": "8"}',
        b'{"step": true}',
        b'{"step": -1}',
        b'{"step": 1.5}',
        b'{"step": 8, "validation/psnr_y": "30"}',
        b'{"step": 8, "validation/psnr_y": [30]}',
        b'{"validation/psnr_y": 30.0}',
        b"\x00" * 40,
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"step": 8, "validation/psnr_y": 3',
    ],
)
def test_a_damaged_line_is_named(log: Path, line: bytes) -> None:
    log.write_bytes(log.read_bytes() + line + b"\n" + b'{"step": 9}\n')
    for read in (read_scalars, lambda path: read_curve(path, "psnr_y"), lambda path: rewind(path, 8)):
        with pytest.raises(DamagedFileError, match=r"metrics\.jsonl is damaged \(line 4 ") as error:
            read(log)
        assert "\n" not in str(error.value)


def test_a_file_without_the_best_validation_is_damaged(log: Path) -> None:
    with pytest.raises(DamagedFileError, match="the validation after step 12 is missing"):
        read_validation(log, 12)
