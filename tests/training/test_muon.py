"""Muon: orthogonal steps between feature maps, Adam elsewhere."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nitido.training.muon import Muon, is_between_features, orthogonalized


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 24), columns=st.integers(1, 24), seed=st.integers(0, 99))
def test_singular_values_come_near_one_and_singular_vectors_stay(rows: int, columns: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(1, rows, columns, generator=generator, dtype=torch.float64)
    u, values, vt = torch.linalg.svd(matrix, full_matrices=False)
    moved = u.mT @ orthogonalized(matrix) @ vt.mT
    kept = torch.diagonal(moved, dim1=-2, dim2=-1)
    torch.testing.assert_close(moved, torch.diag_embed(kept), atol=1e-6, rtol=0)
    large = values > 0.05 * values.max()
    assert kept[large].min() > 0.3
    assert kept.max() < 1.3


@pytest.mark.parametrize("in_bfloat16", [False, True])
def test_the_first_step_agrees_with_pytorch_s_muon_on_a_matrix(in_bfloat16: bool) -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(16, 8, 3, 3))
    matrix = nn.Parameter(weight.detach().flatten(1).clone())
    mine = Muon([weight], rate=0.01, momentum=0.9, in_bfloat16=in_bfloat16)
    theirs = torch.optim.Muon([matrix], lr=0.01, momentum=0.9, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    for seed in range(3):
        gradient = torch.randn(16, 72, generator=torch.Generator().manual_seed(seed))
        weight.grad, matrix.grad = gradient.view_as(weight), gradient.clone()
        mine.step()
        theirs.step()
    # PyTorch's iterates in bfloat16, which has a relative precision of 2**-8.
    torch.testing.assert_close(weight.flatten(1), matrix, atol=3e-3, rtol=0)
    assert (weight.flatten(1) - matrix).abs().mean() < 5e-4


@pytest.mark.parametrize("shape", [(3, 64, 576), (1, 256, 64)])
def test_bfloat16_iterations_are_as_accurate_as_bfloat16(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, generator=_seeded())
    exact, rounded = orthogonalized(matrices), orthogonalized(matrices, in_bfloat16=True)
    assert rounded.dtype == torch.float32
    assert 1e-3 < (rounded - exact).norm() / exact.norm() < 0.06


@pytest.mark.parametrize("shape", [(3, 64, 576), (1, 256, 64)])
@pytest.mark.parametrize("decades", [3, 12])
def test_small_singular_values_stay_bounded_in_bfloat16(shape: tuple[int, ...], decades: int) -> None:
    """Singular values as in gradients of trained networks; large ones do not change."""
    values = torch.logspace(0, -decades, min(shape[1:]))
    u, v = (torch.linalg.qr(torch.randn(shape[0], side, len(values), generator=_seeded()))[0] for side in shape[1:])
    rounded = orthogonalized(u @ torch.diag(values) @ v.mT, in_bfloat16=True)
    assert torch.linalg.svdvals(rounded).max() < 1.3
    kept = torch.diagonal(u.mT @ rounded @ v, dim1=-2, dim2=-1)[:, values > 0.1]
    assert kept.min() > 0.6


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_other_parameters_are_trained_by_adam() -> None:
    torch.manual_seed(0)
    head = nn.Conv2d(3, 16, 3)
    accelerated = copy.deepcopy(head)
    mine, theirs = Muon(head.parameters(), rate=1e-2), torch.optim.Adam(accelerated.parameters(), lr=1e-2)
    images = torch.rand(2, 3, 8, 8)
    for _ in range(5):
        for network, optimizer in ((head, mine), (accelerated, theirs)):
            optimizer.zero_grad()
            network(images).square().mean().backward()
            optimizer.step()
    torch.testing.assert_close(head.weight, accelerated.weight)
    torch.testing.assert_close(head.bias, accelerated.bias)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((64, 64, 3, 3), True), ((16, 64, 1, 1), True), ((64, 1, 3, 3), False), ((3, 64, 3, 3), False), ((64,), False)],
)
def test_only_convolutions_between_features_are_matrices(shape: tuple[int, ...], expected: bool) -> None:
    assert is_between_features(torch.empty(shape)) is expected


def test_weight_decay_applies_to_a_weight_without_gradient() -> None:
    weight = nn.Parameter(torch.ones(8, 8, 1, 1))
    optimizer = Muon([weight], rate=0.1, weight_decay=0.5)
    weight.grad = torch.zeros_like(weight)
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.full_like(weight, 0.95))


def test_a_copy_with_its_state_continues_with_the_same_bits() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3))
    optimizer = Muon(network.parameters(), rate=1e-2)
    images = torch.rand(1, 3, 12, 12)

    def step(network: nn.Module, optimizer: Muon) -> None:
        optimizer.zero_grad()
        network(images).square().mean().backward()
        optimizer.step()

    step(network, optimizer)
    accelerated = copy.deepcopy(network)
    resumed = Muon(accelerated.parameters(), rate=1e-2)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    step(network, optimizer)
    step(accelerated, resumed)
    for expected, found in zip(network.parameters(), accelerated.parameters(), strict=True):
        assert torch.equal(expected, found)


def test_denormal_momentum_is_zero() -> None:
    """Else filters that died long ago keep the processor busy with denormal numbers."""
    torch.manual_seed(0)
    alive = torch.randn(1, 8, 20)
    faded = alive.clone()
    faded[:, 2] = 1e-38 * torch.rand(20)
    alive[:, 2] = 0
    assert torch.equal(orthogonalized(faded), orthogonalized(alive))
    assert orthogonalized(faded)[:, 2].abs().max() == 0
