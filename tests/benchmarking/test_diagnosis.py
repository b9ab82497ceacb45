"""What `nitido doctor` checks is found when it is wrong; the command itself is tested with the commands."""

import numpy as np
import pytest

from nitido.benchmarking import diagnosis


def state(topic: str) -> tuple[str, str]:
    (check,) = (check for check in diagnosis.diagnose().checks if check.topic == topic)
    return check.state, check.message


@pytest.mark.parametrize(("name", "said"), [("bicubic_downscale", "downscaling"), ("bicubic_upscale", "upscaling")])
@pytest.mark.parametrize("wrong", [2, 3, 4])
def test_one_wrong_level_at_one_scale_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str, said: str, wrong: int
) -> None:
    right = getattr(diagnosis, name)

    def resize(image: np.ndarray, scale: int) -> np.ndarray:
        result = right(image, scale).copy()
        if scale == wrong:
            result[5, 7, 1] += 1
        return result

    monkeypatch.setattr(diagnosis, name, resize)
    assert state("bicubic") == (
        "failed",
        f"{said} ×{wrong} differs from MATLAB's imresize: figures of this machine are not comparable",
    )


def test_a_wrong_psnr_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "psnr", lambda *given: 34.0)
    assert state("PSNR") == ("failed", "34.0 dB for an error of 5 gray levels instead of 34.15140352195873 dB")
