from fractions import Fraction

import numpy as np
import pytest

from wsss_lightning.tables.bootstrap import RESAMPLES, draws, foreground_iou, mean_ious, paired_interval, seed_draws


def _matrices(seed: int, *, seeds: int = 2, images: int = 7, labels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 40, size=(seeds, images, labels, labels))


def _slow_miou(confusion: np.ndarray) -> Fraction:
    """One label at a time, in exact fractions."""
    found = []
    for label in range(len(confusion)):
        hits = int(confusion[label, label])
        union = sum(int(confusion[label, k]) + int(confusion[k, label]) for k in range(len(confusion))) - hits
        if union:
            found.append(Fraction(hits, union))
    return sum(found, Fraction(0)) / len(found)


def _slow_differences(ours: np.ndarray, reference: np.ndarray, resamples: int) -> list[float]:
    values = []
    drawn_seeds = seed_draws(len(ours), resamples=resamples)
    for counts, seed_counts in zip(draws(ours.shape[1], resamples=resamples), drawn_seeds, strict=True):
        drawn, seeds = np.repeat(np.arange(ours.shape[1]), counts), np.repeat(np.arange(len(ours)), seed_counts)
        sides = [[_slow_miou(side[seed, drawn].sum(axis=0)) for seed in seeds] for side in (ours, reference)]
        values.append(float(sum(sides[0]) / len(sides[0]) - sum(sides[1]) / len(sides[1])))
    return values


def test_mean_iou_of_a_worked_example() -> None:
    confusion = np.array([[3, 1], [0, 4]])  # 3/4 and 4/5
    assert mean_ious(confusion) == pytest.approx(31 / 40, abs=1e-15)


def test_a_label_that_occurs_nowhere_does_not_count() -> None:
    confusion = np.array([[3, 0, 1], [0, 0, 0], [0, 0, 4]])
    assert mean_ious(confusion) == pytest.approx(31 / 40, abs=1e-15)
    assert np.isnan(mean_ious(np.zeros((2, 2), np.int64)))


def test_mean_iou_equals_exact_fractions() -> None:
    matrices = _matrices(0)
    expected = [[float(_slow_miou(image)) for image in seed] for seed in matrices]
    np.testing.assert_allclose(mean_ious(matrices), expected, rtol=1e-14)


def test_every_draw_has_as_many_images_as_there_are_and_all_calls_draw_alike() -> None:
    counts = draws(13)
    assert counts.shape == (RESAMPLES, 13)
    assert (counts.sum(axis=1) == 13).all()
    assert counts.var() > 0.5  # of a Poisson-like count, not of a fixed one
    np.testing.assert_array_equal(counts, draws(13))


def test_identical_rows_do_not_differ() -> None:
    assert paired_interval(_matrices(0), _matrices(0)) == (0.0, 0.0)


def test_rows_that_exchange_their_seeds_differ_by_nothing_that_a_seed_decides() -> None:
    matrices = _matrices(0)
    low, high = paired_interval(matrices, matrices[::-1])
    assert low < 0 < high
    assert low == pytest.approx(-high, rel=0.1)


def test_a_row_that_is_better_under_one_seed_alone_is_not_said_to_be_better() -> None:
    reference = _matrices(4, seeds=2, images=200)
    better, worse = (np.stack([m + sign * 4 * np.eye(3, dtype=np.int64) for m in reference[:1]]) for sign in (1, -1))
    low, high = paired_interval(np.concatenate([better, worse]) + 4, np.concatenate([reference[:1]] * 2) + 4)
    assert low < 0 < high
    alone = paired_interval(better + 4, reference[:1] + 4)
    assert alone[0] > 0


def test_the_interval_of_one_class_is_of_its_own_iou() -> None:
    confusion = np.array([[3, 1], [2, 4]])
    assert foreground_iou(confusion) == pytest.approx(4 / 7, abs=1e-15)
    ours, reference = confusion[None, None], np.array([[[[3, 1], [0, 4]]]])
    found = paired_interval(ours, reference, score=foreground_iou)
    assert found == pytest.approx((4 / 7 - 4 / 5, 4 / 7 - 4 / 5), abs=1e-15)


def test_one_image_leaves_nothing_to_resample() -> None:
    ours, reference = np.array([[[[3, 1], [0, 4]]]]), np.array([[[[2, 2], [0, 4]]]])  # 31/40 and (2/4 + 4/6) / 2
    expected = float(Fraction(31, 40) - Fraction(7, 12))
    assert paired_interval(ours, reference) == pytest.approx((expected, expected), abs=1e-15)


def test_interval_equals_a_loop_over_resamples() -> None:
    ours, reference = _matrices(1), _matrices(2)
    values = _slow_differences(ours, reference, resamples=60)
    expected = (np.quantile(values, 0.025), np.quantile(values, 0.975))
    assert paired_interval(ours, reference, resamples=60) == pytest.approx(expected, abs=1e-14)
    assert expected[0] < expected[1]


def test_pairing_narrows_the_interval_of_rows_that_err_on_the_same_images() -> None:
    reference = _matrices(3, seeds=1, images=40)
    ours = reference + 10 * np.eye(3, dtype=np.int64)
    paired, crossed = paired_interval(ours, reference), paired_interval(ours[:, ::-1], reference)
    assert paired[0] > 0
    assert paired[1] - paired[0] < crossed[1] - crossed[0]


def test_the_interval_is_the_same_every_time() -> None:
    assert paired_interval(_matrices(1), _matrices(2)) == paired_interval(_matrices(1), _matrices(2))


@pytest.mark.parametrize("shape", [(2, 6, 3, 3), (1, 7, 3, 3), (7, 3, 3)])
def test_what_cannot_be_paired_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_interval(np.ones(shape, np.int64), _matrices(0))
