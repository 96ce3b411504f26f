import cv2
import numpy as np
import pytest
from fake_collection import picture

from wsss_lightning.methods.coseg.seed_box import crisp_edges, seed_box, stretch


def test_the_box_holds_the_edges() -> None:
    edges = np.zeros((60, 120))
    edges[18:42, 30:90] = 1
    np.testing.assert_allclose(seed_box(edges, edges.shape, canvas=60, share=0.99), [30, 18, 90, 42], atol=2)


def test_weak_edges_elsewhere_do_not_stretch_it() -> None:
    edges = np.full((60, 60), 0.01)
    edges[20:40, 20:40] = 1
    np.testing.assert_allclose(seed_box(edges, edges.shape, canvas=60, share=0.99), [20, 20, 40, 40], atol=1)


def test_no_edge_no_preference() -> None:
    assert seed_box(np.zeros((15, 20)), (30, 40), canvas=10, share=0.99).tolist() == [0, 0, 40, 30]


def test_interval_by_hand() -> None:
    profile = np.array([0, 1, 0, 3, 2, 0, 1])  # squares 0 1 0 9 4 0 1 of 15
    assert stretch(profile, 0.6) == (3, 4)
    assert stretch(profile, 0.8) == (3, 5)
    assert stretch(profile, 0.9) == (3, 7)  # of two equal neighbours the later one
    assert stretch(profile, 1.0) == (1, 7)


@pytest.mark.parametrize("seed", range(5))
def test_the_interval_holds_its_share_and_less_at_neither_end(seed: int) -> None:
    profile = np.random.default_rng(seed).random(20) ** 3
    first, last = stretch(profile, 0.7)
    squares = profile**2 / (profile**2).sum()
    assert squares[first:last].sum() >= 0.7
    assert squares[first : last - 1].sum() < 0.7 and squares[first + 1 : last].sum() < 0.7


def test_edges_are_strongest_where_the_thing_ends() -> None:
    image, mask = picture(0, stripes=True)
    edges = crisp_edges(image, side=64)
    assert edges.shape == (48, 64) and edges.min() >= 0 and edges.max() <= 1
    small = cv2.resize(mask.astype(np.uint8), (64, 48))
    rim = cv2.morphologyEx(small, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > 0
    assert edges[rim].mean() > 2 * edges[small == 0].mean()


def test_an_image_too_small_for_edges_is_taken_whole() -> None:
    edges = crisp_edges(np.random.default_rng(0).integers(0, 256, (9, 30, 3)).astype(np.uint8), side=80)
    assert seed_box(edges, (9, 30), canvas=100, share=0.9).tolist() == [0, 0, 30, 9]
