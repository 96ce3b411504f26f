import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.methods.points.samplers import Dense, Diverse, Evidence, Spatial, TopK
from wsss_lightning.methods.points.sampling import Similarity, background_points, diverse_points


def columns(seed: int = 0) -> Tensor:
    return F.normalize(torch.randn(20, 6, generator=torch.Generator().manual_seed(seed)), dim=1)


def likeness(rows: Tensor) -> Similarity:
    return lambda i: rows @ rows[i]


def evidence(*, classes: int = 2, seed: int = 0) -> Evidence:
    return Evidence(
        scores=torch.rand(classes, 4, 5, generator=torch.Generator().manual_seed(seed + 9)),
        similarity=likeness(columns(seed)),
        present=torch.tensor([2, 5])[:classes],
        peaks=torch.tensor([1.0, 0.5])[:classes],
        seed=seed,
    )


@pytest.mark.parametrize("sampler", [Diverse(k=3), TopK(k=3), Spatial(k=3, sigma=0.2)])
def test_k_points_per_class_and_k_of_background(sampler: Diverse | TopK | Spatial) -> None:
    points = sampler(evidence())
    assert points.labels.tolist() == [2, 2, 2, 5, 5, 5, 0, 0, 0]
    foreground, background = set(points.locations[:6].tolist()), set(points.locations[6:].tolist())
    assert not foreground & background
    assert len(background) == 3


def test_the_first_point_of_every_sampling_is_the_highest_score() -> None:
    image = evidence()
    best = image.scores.flatten(1).argmax(dim=1)
    for sampler in (Diverse(k=2), TopK(k=2), Spatial(k=2, sigma=0.2)):
        assert sampler(image).locations[[0, 2]].tolist() == best.tolist()


def test_diverse_follows_the_equations_class_by_class() -> None:
    image = evidence()
    chosen = [diverse_points(s.flatten(), columns(), 3) for s in image.scores]
    expected = torch.cat([*chosen, background_points(columns(), torch.cat(chosen), 3)])
    assert Diverse(k=3)(image).locations.tolist() == expected.tolist()


def test_top_k_ignores_features_for_the_foreground() -> None:
    one = evidence()
    other = Evidence(one.scores, likeness(torch.roll(columns(), 7, dims=0)), one.present, one.peaks, one.seed)
    assert TopK(k=4)(one).locations[:8].tolist() == TopK(k=4)(other).locations[:8].tolist()


def test_spatial_sampling_spreads_where_scores_are_equal() -> None:
    flat = Evidence(torch.ones(1, 4, 5), likeness(torch.zeros(20, 6)), torch.tensor([1]), torch.ones(1), 0)
    assert Spatial(k=2, sigma=0.2)(flat).locations[:2].tolist() == [0, 19]  # opposite corners


def test_dense_divides_by_the_peaks_before_it_compares() -> None:
    scores = torch.tensor([[[0.8, 0.1, 0.15]], [[0.5, 0.1, 0.05]]])
    image = Evidence(scores, likeness(torch.zeros(3, 1)), torch.tensor([2, 5]), torch.tensor([1.0, 0.5]), 0)
    # Divided: class 2 has 0.8, 0.1, 0.15 and class 5 has 1.0, 0.2, 0.1; 0.2 is not below the threshold.
    points = Dense(threshold=0.2, kept=3)(image)
    assert points.locations.tolist() == [0, 1, 2]
    assert points.labels.tolist() == [5, 5, 0]


def test_dense_keeps_a_random_part_that_depends_on_the_image_alone() -> None:
    sampler = Dense(threshold=0.2, kept=7)
    one, same, other = sampler(evidence()), sampler(evidence()), sampler(evidence(seed=1))
    assert one.locations.tolist() == same.locations.tolist() != other.locations.tolist()
    assert len(set(one.locations.tolist())) == 7


@pytest.mark.parametrize("sampler", [Diverse(k=2), TopK(k=2), Spatial(k=2, sigma=0.2)])
def test_two_classes_may_choose_one_location_and_both_points_are_kept(sampler: Diverse | TopK | Spatial) -> None:
    one = evidence(classes=1)
    image = Evidence(one.scores.repeat(2, 1, 1), one.similarity, torch.tensor([2, 5]), torch.ones(2), 0)
    points = sampler(image)
    assert points.labels.tolist() == [2, 2, 5, 5, 0, 0]
    first, second, background = points.locations.view(3, 2).tolist()
    assert first == second
    assert not set(first) & set(background) and len(set(background)) == 2
    alone = sampler(one)  # eq 5 takes a maximum, to which a location counts once
    assert background == alone.locations[2:].tolist()


@pytest.mark.parametrize(
    "sampler", [Diverse(k=3, positive=True), TopK(k=3, positive=True), Spatial(k=3, sigma=0.2, positive=True)]
)
def test_places_without_a_score_are_left_out_if_asked(sampler: Diverse | TopK | Spatial) -> None:
    image = evidence()
    image.scores[0] = image.scores[0] * (image.scores[0] >= image.scores[0].flatten().topk(2).values[1])
    points = sampler(image)
    assert points.labels.tolist() == [2, 2, 5, 5, 5, 0, 0, 0]
    assert (image.scores[0].flatten()[points.locations[:2]] > 0).all()
