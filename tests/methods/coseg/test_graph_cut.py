from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from wsss_lightning.methods.coseg.graph_cut import contrast_edges, graph_cut

Floats = NDArray[np.float64]


def energy(labels: Floats, foreground: Floats, background: Floats, edges: tuple[Floats, Floats, Floats]) -> float:
    flat = labels.ravel().astype(bool)
    first, second, weights = edges
    unary = np.where(flat, foreground.ravel(), background.ravel()).sum()
    return float(unary + weights[flat[first] != flat[second]].sum())


@pytest.mark.parametrize("neighbours", [4, 8])
@pytest.mark.parametrize("seed", range(4))
def test_the_cut_has_the_least_energy_of_all_labellings(seed: int, neighbours: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (3, 4, 3)).astype(np.uint8)
    foreground, background = rng.integers(0, 9000, (2, 3, 4)) / 1000
    first, second, weights = contrast_edges(image, smoothness=1.5, neighbours=neighbours)
    edges = (first, second, weights.round(3))
    every = [np.reshape(labels, (3, 4)) for labels in product((0, 1), repeat=12)]
    least = min(energy(labels, foreground, background, edges) for labels in every)
    found = graph_cut(foreground, background, edges)
    assert energy(found, foreground, background, edges) == pytest.approx(least, abs=1e-9)


def test_edges_by_hand() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 1] = 10  # two of four sides have a contrast of 300, so the mean is 150
    first, second, weights = contrast_edges(image, smoothness=2.0, neighbours=4)
    pairs = dict(zip(zip(first.tolist(), second.tolist(), strict=True), weights.tolist(), strict=True))
    assert pairs == pytest.approx({(0, 1): 2 / np.e, (2, 3): 2, (0, 2): 2, (1, 3): 2 / np.e})


def test_eight_neighbours_add_both_diagonals_at_their_length() -> None:
    first, second, weights = contrast_edges(np.zeros((2, 2, 3), np.uint8), smoothness=1.0, neighbours=8)
    diagonal = {(int(p), int(q)): w for p, q, w in zip(first, second, weights, strict=True) if w < 1}
    assert diagonal == pytest.approx({(0, 3): 1 / np.sqrt(2), (1, 2): 1 / np.sqrt(2)})


def test_without_edges_every_pixel_takes_the_cheaper_label_and_a_tie_is_background() -> None:
    none = (np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0))
    found = graph_cut(np.array([[1.0, 2.0, 3.0]]), np.array([[2.0, 2.0, 1.0]]), none)
    assert found.tolist() == [[True, False, False]]


def test_an_infinite_cost_is_never_paid() -> None:
    edges = contrast_edges(np.zeros((1, 3, 3), np.uint8), smoothness=900.0, neighbours=4)
    found = graph_cut(np.array([[0.0, np.inf, 0.0]]), np.array([[5e6, 0.0, 5e6]]), edges)
    assert found.tolist() == [[True, False, True]]


def test_ortools_cuts_as_scipy_does(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ortools")
    rng, ties = np.random.default_rng(0), np.arange(600) % 3 == 0
    for seed in range(5):
        image = np.random.default_rng(seed).integers(0, 256, (20, 30, 3)).astype(np.uint8)
        foreground, background = rng.exponential(size=(2, 20, 30))
        foreground.ravel()[ties] = background.ravel()[ties]
        foreground[0, :5], background[9, 3] = np.inf, np.inf
        edges, cuts = contrast_edges(image, smoothness=1.0, neighbours=8), []
        for has in (True, False):
            monkeypatch.setattr("wsss_lightning.methods.coseg.graph_cut._has_ortools", lambda has=has: has)
            cuts.append(graph_cut(foreground, background, edges))
        assert np.array_equal(*cuts) and 0 < cuts[0].mean() < 1


def test_costs_must_be_numbers_and_edges_not_negative() -> None:
    edges = contrast_edges(np.zeros((1, 2, 3), np.uint8), smoothness=1.0, neighbours=4)
    with pytest.raises(ValueError, match="numbers"):
        graph_cut(np.array([[np.nan, 0.0]]), np.zeros((1, 2)), edges)
    with pytest.raises(ValueError, match="0 or more"):
        graph_cut(np.zeros((1, 2)), np.zeros((1, 2)), (*edges[:2], -edges[2]))
