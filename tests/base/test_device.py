"""Devices by name: what `auto` takes, what is refused and how, and what results call them."""

import pytest
import torch

from nitido.base.device import AUTO, CPU, DeviceError, available_devices, choose_device, device_label, full_float32


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch):
    """Pretend that the machine has so many graphics cards, and perhaps Apple's."""

    def pretend(number: int, mps: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: number > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: number)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


@pytest.mark.parametrize(
    ("number", "mps", "available"),
    [(0, False, ["cpu"]), (2, False, ["cuda:0", "cuda:1", "cpu"]), (0, True, ["mps", "cpu"])],
)
def test_auto_takes_cuda_then_mps_then_the_processor(cards, number: int, mps: bool, available: list[str]) -> None:
    cards(number, mps)
    assert available_devices() == available
    assert choose_device(AUTO) == choose_device() == torch.device(available[0])
    assert [choose_device(name) for name in available] == [torch.device(name) for name in available]


def test_a_card_without_a_number_is_the_first(cards) -> None:
    cards(2)
    assert choose_device("cuda") == torch.device("cuda:0")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_what_this_machine_lacks_is_one_line_that_says_what_it_has(cards, name: str) -> None:
    cards(0)
    with pytest.raises(DeviceError) as raised:
        choose_device(name)
    assert str(raised.value) == f"device {name!r} is not available: this machine has cpu; auto takes cpu"


def test_a_number_without_a_card(cards) -> None:
    cards(1)
    with pytest.raises(DeviceError, match="'cuda:3' is not available: this machine has cuda:0, cpu; auto takes cuda:0"):
        choose_device("cuda:3")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("gpu", "cuda:0"),
        ("cuda0", "cuda:0"),
        ("CUDA:1", "cuda:1"),
        ("cuda:01", "cuda:1"),
        ("cuda:-1", "cuda:1"),
        ("metal", "mps"),
        ("MPS", "mps"),
        ("CPU", "cpu"),
        ("xpu", "auto"),
        ("", "auto"),
        ("meta", "auto"),
    ],
)
def test_an_unknown_spelling_names_the_nearest(cards, name: str, meant: str) -> None:
    cards(0)
    with pytest.raises(DeviceError) as raised:
        choose_device(name)
    expected = f"unknown device {name!r}: did you mean {meant!r}? (this machine has cpu; auto takes cpu)"
    assert str(raised.value) == expected


def test_labels_name_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"Card {device.index}")
    assert device_label(torch.device("cuda:1")) == "cuda:1 (Card 1)"
    assert [device_label(torch.device(name)) for name in ("cpu", "mps")] == ["cpu", "mps"]


def _precisions() -> tuple[str, str]:
    return torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision


def test_float32_is_full_on_a_card_and_the_setting_comes_back() -> None:
    before = _precisions()
    with full_float32(CPU):
        assert _precisions() == before
    with full_float32(torch.device("cuda:0")):
        assert _precisions() == ("ieee", "ieee")
    assert _precisions() == before
