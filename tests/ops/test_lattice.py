import numpy as np
import pytest
import torch

from wsss_lightning.ops.lattice import Lattice, _blur, _elevate, _simplices


def points(dimensions: int, count: int, spread: float = 3.0) -> torch.Tensor:
    return torch.rand(dimensions, count, generator=torch.Generator().manual_seed(0)) * spread


def test_elevated_points_lie_on_the_plane_and_keep_their_distances_up_to_one_factor() -> None:
    features = points(5, 20)
    elevated = _elevate(features)
    assert elevated.sum(0).abs().max() < 1e-4
    ratio = torch.pdist(elevated.T) / torch.pdist(features.T)
    np.testing.assert_allclose(ratio, np.sqrt(2 / 3) * 6, rtol=1e-4)


@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_weights_are_barycentric_and_give_the_point_back(dimensions: int) -> None:
    features = points(dimensions, 50)
    keys, weights, steps = _simplices(features)
    assert weights.min() > -1e-5
    np.testing.assert_allclose(weights.sum(0), 1, atol=1e-5)
    assert int(steps.sum()) == 0  # once along every axis leads back
    assert all(len(set(column.tolist())) == dimensions + 1 for column in keys.T)


def test_vertices_in_two_dimensions_by_hand() -> None:
    # The origin is itself a vertex, one step from it along an axis is another.
    features = torch.zeros(2, 1)
    _, weights, _ = _simplices(features)
    assert weights[:, 0].tolist() == [1, 0, 0]
    lattice = Lattice.of(torch.zeros(2, 2))
    assert lattice.filter(torch.tensor([[1.0], [0.0]])).flatten().tolist() == pytest.approx([0.5, 0.5])


def test_blur_by_hand() -> None:
    # Vertices 0, 1, 2 in a row and 9 alone.
    blur = _blur(torch.tensor([0, 1, 2, 9]), 1)
    assert blur.sum(torch.tensor([[4.0], [2.0], [0.0], [7.0]])).flatten().tolist() == [5, 4, 1, 7]


def test_a_filter_is_near_the_gaussian() -> None:
    features = points(2, 400)
    values = torch.rand(400, 3, generator=torch.Generator().manual_seed(1))
    kernel = torch.exp(-(torch.cdist(features.T, features.T) ** 2) / 2)
    scale = kernel.sum(1).rsqrt()
    expected = scale[:, None] * (kernel @ (scale[:, None] * values))
    filtered = Lattice.of(features).filter(values)
    assert (filtered - expected).abs().max() < 0.05 * expected.max()


def test_transposed_filter() -> None:
    lattice = Lattice.of(points(5, 30, spread=1.5))
    forward = lattice.apply(torch.eye(30), reverse=False)
    np.testing.assert_allclose(lattice.apply(torch.eye(30), reverse=True), forward.T, atol=1e-6)
    assert not torch.equal(forward, forward.T)  # the order of the axes is seen at missing vertices


def test_gradient() -> None:
    lattice = Lattice.of(points(5, 12, spread=1.5))
    values = torch.rand(12, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lattice.filter, values)
    assert torch.autograd.gradgradcheck(lattice.filter, values)


def test_too_many_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="larger sigmas"):
        Lattice.of(points(5, 10, spread=1e6))
