import math
from itertools import islice

import pytest
import torch
from torch import Tensor

from wsss_lightning.methods.points.sampling import (
    background_points,
    background_points_by,
    diverse_points,
    diverse_points_by,
    diverse_steps_by,
    spatial_similarity,
    top_points,
)


def vectors(*rows: tuple[float, float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def random_problem(seed: int, locations: int = 40, dimensions: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(locations, generator=generator, dtype=torch.float64)
    features = torch.randn(locations, dimensions, generator=generator, dtype=torch.float64)
    return scores, torch.nn.functional.normalize(features, dim=1)


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def loop_over_equations_3_and_4(scores: list[float], z: list[list[float]], k: int) -> list[int]:
    chosen: list[int] = []
    for _ in range(min(k, len(z))):
        best, best_value = -1, -math.inf
        for i in range(len(z)):
            penalty = max(dot(z[i], z[j]) for j in chosen) if chosen else 0.0
            if i not in chosen and scores[i] * (1 - penalty) > best_value:
                best, best_value = i, scores[i] * (1 - penalty)
        chosen.append(best)
    return chosen


def loop_over_equation_5(z: list[list[float]], foreground: list[int], k: int) -> list[int]:
    chosen: list[int] = []
    while len(chosen) < k and len(set(foreground)) + len(chosen) < len(z):
        best, best_value = -1, math.inf
        for i in range(len(z)):
            likeness = max(dot(z[i], z[j]) for j in foreground + chosen)
            if i not in foreground + chosen and likeness < best_value:
                best, best_value = i, likeness
        chosen.append(best)
    return chosen


def test_equations_3_and_4_by_hand() -> None:
    # z_0.z = 1, 4/5, 3/5, 0 and z_3.z = 0, 3/5, 4/5, 1.
    features = vectors((1, 0), (4 / 5, 3 / 5), (3 / 5, 4 / 5), (0, 1))
    scores = torch.tensor([10, 9, 19 / 2, 4], dtype=torch.float64)
    # Eq. 3 picks 0; then 9/5, 19/5 and 4: 3; then 9/5 and 19/10: 2 (the last point alone would have said 18/5: 1).
    assert diverse_points(scores, features, 4).tolist() == [0, 3, 2, 1]


def test_the_maps_of_equations_3_and_4_by_hand() -> None:
    features = vectors((1, 0), (4 / 5, 3 / 5), (3 / 5, 4 / 5), (0, 1))
    scores = torch.tensor([10, 9, 19 / 2, 4], dtype=torch.float64)
    maps, points = zip(*diverse_steps_by(scores, lambda i: features @ features[i]), strict=True)
    assert points == (0, 3, 2, 1)
    assert torch.equal(maps[0], scores)  # eq 3
    assert maps[1].tolist() == pytest.approx([0, 9 / 5, 19 / 5, 4])
    assert maps[2].tolist() == pytest.approx([0, 9 / 5, 19 / 10, 0])  # the larger of 4/5, 3/5 and of 3/5, 4/5
    assert maps[3].tolist() == pytest.approx([0, 9 / 25, 0, 0])  # of 4/5, 3/5 and 24/25


@pytest.mark.parametrize("seed", range(3))
def test_each_step_maximises_its_map_over_the_points_left(seed: int) -> None:
    scores, features = random_problem(seed)
    taken: list[int] = []
    for objective, point in islice(diverse_steps_by(scores - 0.6, lambda i: features @ features[i]), 12):
        left = [i for i in range(len(scores)) if i not in taken]
        assert point == max(left, key=objective.tolist().__getitem__)
        taken.append(point)
    assert taken == diverse_points(scores - 0.6, features, 12).tolist()


def test_equation_5_by_hand() -> None:
    features = vectors((1, 0), (4 / 5, 3 / 5), (5 / 13, 12 / 13), (0, 1), (-1, 0))
    # Likeness to 0: 4/5, 5/13, 0, -1; after 4: 4/5, 5/13, 0; after 3: 4/5 and 12/13.
    assert background_points(features, torch.tensor([0]), 4).tolist() == [4, 3, 1, 2]


def test_top_points_by_hand() -> None:
    assert top_points(torch.tensor([0.1, 0.7, 0.3, 0.9]), 3).tolist() == [3, 1, 2]


@pytest.mark.parametrize("seed", range(5))
def test_diverse_points_agree_with_a_loop(seed: int) -> None:
    scores, features = random_problem(seed)
    expected = loop_over_equations_3_and_4(scores.tolist(), features.tolist(), 12)
    assert diverse_points(scores, features, 12).tolist() == expected


@pytest.mark.parametrize("seed", range(5))
def test_diverse_points_agree_with_a_loop_on_negative_scores(seed: int) -> None:
    scores, features = random_problem(seed)
    expected = loop_over_equations_3_and_4((scores - 0.6).tolist(), features.tolist(), 12)
    assert diverse_points(scores - 0.6, features, 12).tolist() == expected


@pytest.mark.parametrize("seed", range(5))
def test_background_points_agree_with_a_loop(seed: int) -> None:
    _, features = random_problem(seed)
    foreground = [3, 17, 21, 30]
    expected = loop_over_equation_5(features.tolist(), foreground, 12)
    assert background_points(features, torch.tensor(foreground), 12).tolist() == expected


def test_the_first_diverse_point_has_the_highest_score() -> None:
    scores, features = random_problem(0)
    assert diverse_points(scores, features, 1).tolist() == top_points(scores, 1).tolist()


def test_orthogonal_features_make_diverse_points_the_top_points() -> None:
    scores = random_problem(1, locations=9)[0]
    assert diverse_points(scores, torch.eye(9, dtype=torch.float64), 6).tolist() == top_points(scores, 6).tolist()


def test_no_point_is_picked_twice_where_all_are_alike() -> None:
    features = vectors(*[(1, 0)] * 6)
    assert diverse_points(torch.full((6,), -1.0), features, 6).tolist() == [0, 1, 2, 3, 4, 5]
    assert background_points(features, torch.tensor([1, 4]), 4).tolist() == [0, 2, 3, 5]


def test_ties_go_to_the_lowest_index() -> None:
    scores = torch.tensor([1.0, 2.0, 1.0, 2.0, 2.0])
    assert top_points(scores, 4).tolist() == [1, 3, 4, 0]
    assert top_points(torch.zeros(5000), 50).tolist() == list(range(50))
    assert diverse_points(scores, torch.eye(5), 4).tolist() == [1, 3, 4, 0]
    assert background_points(torch.eye(5), torch.tensor([2]), 3).tolist() == [0, 1, 3]


def test_fewer_points_than_asked_for_are_all_returned() -> None:
    scores, features = random_problem(2, locations=4)
    for points in (top_points(scores, 9), diverse_points(scores, features, 9)):
        assert sorted(points.tolist()) == [0, 1, 2, 3]
    assert sorted(background_points(features, torch.tensor([1, 1, 3]), 9).tolist()) == [0, 2]
    assert background_points(features, torch.arange(4), 9).tolist() == []


def test_no_points_asked_for() -> None:
    scores, features = random_problem(2)
    for points in (top_points(scores, 0), diverse_points(scores, features, 0)):
        assert points.shape == (0,) and points.dtype == torch.int64


def test_without_foreground_points_the_background_starts_at_the_first_location() -> None:
    features = vectors((1, 0), (4 / 5, 3 / 5), (0, 1), (-1, 0))
    assert background_points(features, torch.empty(0, dtype=torch.int64), 3).tolist() == [0, 3, 2]


def test_repeated_foreground_points_count_once() -> None:
    _, features = random_problem(3)
    once = background_points(features, torch.tensor([5, 9]), 6)
    assert torch.equal(background_points(features, torch.tensor([9, 5, 9, 5]), 6), once)


def test_the_similarity_is_asked_once_per_point() -> None:
    scores, features = random_problem(4)
    asked: list[int] = []

    def similarity(i: int) -> Tensor:
        asked.append(i)
        return features @ features[i]

    points = diverse_points_by(scores, similarity, 7)
    assert asked == points.tolist() == diverse_points(scores, features, 7).tolist()
    asked.clear()
    background = background_points_by(similarity, points, 7, len(scores))
    assert asked == sorted(points.tolist()) + background.tolist()
    assert torch.equal(background, background_points(features, points, 7))


def test_arguments_are_left_as_they_are() -> None:
    scores, features = random_problem(5)
    before = scores.clone(), features.clone()
    diverse_points(scores, features, 5)
    background_points(features, torch.tensor([0]), 5)
    assert torch.equal(scores, before[0]) and torch.equal(features, before[1])


def test_spatial_similarity_by_hand() -> None:
    # On 3 rows of 4, location 5 is (1, 1); d^2 = 2 to (0, 0), 0 to itself, 1 + 4 to (2, 3).
    similarity = spatial_similarity(3, 4, sigma=2.0)(5)
    assert similarity.shape == (12,)
    assert similarity[[0, 5, 11]].tolist() == pytest.approx([math.exp(-2 / 8), 1, math.exp(-5 / 8)])


def test_spatial_diversity_jumps_to_the_opposite_corner() -> None:
    similarity = spatial_similarity(5, 7, sigma=3.0)
    assert diverse_points_by(torch.ones(35), similarity, 2).tolist() == [0, 34]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: top_points(torch.zeros(2, 3), 1), "shape"),
        (lambda: top_points(torch.tensor([0.0, math.nan]), 1), "finite"),
        (lambda: top_points(torch.zeros(3), -1), "negative"),
        (lambda: diverse_points(torch.zeros(3), torch.eye(4), 1), "3 scores do not match 4"),
        (lambda: diverse_points(torch.zeros(3), 2 * torch.eye(3), 1), "unit length"),
        (lambda: diverse_points(torch.zeros(3), torch.zeros(3), 1), r"\(P, D\)"),
        (lambda: diverse_points(torch.zeros(3), torch.eye(3), -1), "negative"),
        (lambda: background_points(2 * torch.eye(3), torch.tensor([0]), 1), "unit length"),
        (lambda: background_points(torch.eye(3), torch.tensor([3]), 1), r"0\.\.2"),
        (lambda: background_points(torch.eye(3), torch.tensor([-1]), 1), r"0\.\.2"),
        (lambda: background_points(torch.eye(3), torch.tensor([0.0]), 1), "int64"),
        (lambda: background_points(torch.eye(3), torch.tensor([0]), -1), "negative"),
        (lambda: spatial_similarity(3, 3, 0.0), "positive"),
    ],
)
def test_bad_arguments_are_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
