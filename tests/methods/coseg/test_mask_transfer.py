from dataclasses import replace

import numpy as np
from fake_collection import picture

from wsss_lightning.methods.coseg.mask_transfer import (
    Start,
    Transfer,
    chosen_groups,
    segment_with_prior,
    symmetric_mean,
    transfer,
)

SETTINGS = Transfer(
    side=96, overlap=0.5, group_share=0.7, skipped=0.2, components=3, smoothness=10.0, rounds=4, border=0.4
)
BOX = np.array([10, 5, 118, 91], np.float32)


def egg(size: int = 60) -> np.ndarray:
    y, x = (np.indices((size, size)) + 0.5) / size * 2 - 1
    return (((y / 0.8) ** 2 + (x / 0.8) ** 2 < 1) * 0.8 + 0.1).astype(np.float32)


def test_the_average_mask_finds_the_thing() -> None:
    image, truth = picture(3, stripes=True)
    found = segment_with_prior(image, BOX, egg(), SETTINGS, seed=0)
    assert (found & truth).sum() / (found | truth).sum() > 0.9


def test_a_mask_that_fills_its_boxs_border_is_rejected() -> None:
    image, _ = picture(3, stripes=True)
    inside = np.array([40, 34, 88, 62], np.float32)  # within the egg
    full = np.full((20, 20), 0.9, np.float32)
    full[0, 0] = 0  # what counts outside the box
    assert not segment_with_prior(image, inside, full, SETTINGS, seed=0).any()
    assert segment_with_prior(image, inside, full, replace(SETTINGS, border=1.0), seed=0).any()


def test_groups_of_several_outdo_single_detections() -> None:
    boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9], [40, 0, 49, 9], [40, 0, 49, 9]])
    groups = chosen_groups(boxes.astype(np.float32), np.array([0, 0, 9, 0, 0, 0], np.float32), SETTINGS)
    assert [group.tolist() for group in groups] == [[3, 4, 5]]  # 2 of 3 are less than 0.7
    both = chosen_groups(boxes.astype(np.float32), np.zeros(6, np.float32), replace(SETTINGS, group_share=0.6))
    assert [group.tolist() for group in both] == [[3, 4, 5], [0, 1]]


def test_of_single_detections_the_best_alone() -> None:
    boxes = np.array([[0, 0, 9, 9], [20, 0, 29, 9]], np.float32)
    assert [group.tolist() for group in chosen_groups(boxes, np.array([1, 2], np.float32), SETTINGS)] == [[1]]


def test_no_detection_and_faint_averages_give_an_empty_mask() -> None:
    image, _ = picture(3, stripes=True)
    nothing = transfer(image, np.zeros((0, 4), np.float32), np.zeros(0, np.float32), [], SETTINGS, seed=0)
    faint = transfer(image, BOX[None], np.ones(1, np.float32), [egg() * 0.2], SETTINGS, seed=0)
    assert nothing.shape == faint.shape == (96, 128)
    assert not nothing.any() and not faint.any()


FAR = np.array([[0, 60, 30, 96]], np.float32)  # a corner, where there is nothing


def test_a_detection_far_from_the_seed_box_gives_way_to_it() -> None:
    image, truth = picture(3, stripes=True)
    start, near = Start(BOX, egg()), replace(SETTINGS, near=0.5)
    found = transfer(image, FAR, np.ones(1, np.float32), [egg()], near, start=start, seed=0)
    assert (found == segment_with_prior(image, BOX, egg() / egg().max(), SETTINGS, seed=0)).all()
    assert (found & truth).sum() > 0.9 * truth.sum()
    assert (found == transfer(image, FAR[:0], np.zeros(0, np.float32), [], near, start=start, seed=0)).all()
    without = transfer(image, FAR, np.ones(1, np.float32), [egg()], SETTINGS, seed=0)
    assert (without & truth).sum() < 0.5 * truth.sum()


def test_a_detection_near_the_seed_box_is_taken_and_the_seed_box_is_not_added() -> None:
    image, _ = picture(3, stripes=True)
    start, near = Start(BOX + 4, egg()), replace(SETTINGS, near=0.5)
    found = transfer(image, BOX[None], np.ones(1, np.float32), [egg()], near, start=start, seed=0)
    assert (found == transfer(image, BOX[None], np.ones(1, np.float32), [egg()], SETTINGS, seed=0)).all()


def test_without_an_average_mask_a_seed_box_is_not_cut() -> None:
    image, _ = picture(3, stripes=True)
    start = Start(BOX, symmetric_mean([]))
    assert not transfer(image, FAR[:0], np.zeros(0, np.float32), [], SETTINGS, start=start, seed=0).any()


def test_the_mean_of_average_masks_is_symmetric() -> None:
    one, other = np.random.default_rng(0).random((2, 6, 6)).astype(np.float32)
    mean = symmetric_mean([one, other])
    assert mean is not None
    np.testing.assert_allclose(mean, (one + other + one[:, ::-1] + other[:, ::-1]) / 4, rtol=1e-6)
    np.testing.assert_array_equal(mean, mean[:, ::-1])


def test_where_cuts_agree_a_wrong_detection_makes_the_mask_no_worse() -> None:
    image, truth = picture(3, stripes=True)
    start, agreed = Start(BOX, egg()), replace(SETTINGS, agreed=True)

    def jaccard(boxes: np.ndarray, settings: Transfer, average: np.ndarray) -> float:
        found = transfer(image, boxes, np.ones(len(boxes), np.float32), [average], settings, start=start, seed=0)
        return float((found & truth).sum() / (found | truth).sum())

    none = jaccard(FAR[:0], agreed, egg())
    assert none > 0.8
    alone = transfer(image, FAR, np.ones(1, np.float32), [egg()], SETTINGS, seed=0)
    assert (alone & truth).sum() < 0.5 * truth.sum()
    assert jaccard(FAR, agreed, egg()) > none - 0.05
    assert jaccard(BOX[None], agreed, egg()) > 0.8


def test_without_an_average_mask_of_the_class_an_image_is_cut_alone() -> None:
    image, truth = picture(3, stripes=True)
    none, agreed = (np.zeros((0, 4), np.float32), np.zeros(0, np.float32), []), replace(SETTINGS, agreed=True)
    assert not transfer(image, *none, SETTINGS, start=Start(BOX, None), seed=0).any()
    found = transfer(image, *none, agreed, start=Start(BOX, None), seed=0)
    assert (found & truth).sum() / (found | truth).sum() > 0.8


def test_the_last_cut_may_be_of_a_smaller_image() -> None:
    image, truth = picture(3, stripes=True)
    found = segment_with_prior(image, BOX, egg(), replace(SETTINGS, last=64), seed=0)
    assert found.shape == (48, 64)
    small = truth[::2, ::2]
    assert (found & small).sum() / (found | small).sum() > 0.85
