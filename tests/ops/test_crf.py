from pathlib import Path

import numpy as np
import pytest
import yaml
from pydensecrf.densecrf import DenseCRF2D
from scipy.special import softmax

from wsss_lightning.ops.crf import dense_crf, region_potential, unary_from_probabilities, unary_from_scores
from wsss_lightning.ops.pn_potts import region_energies

HEIGHT, WIDTH, LABELS = 11, 17, 3
PARAMETERS = {
    "spatial_weight": 3,
    "spatial_sigma": 2,
    "bilateral_weight": 4,
    "bilateral_sigma": 55,
    "color_sigma": 3,
    "iterations": 10,
}
NO_KERNELS = {**PARAMETERS, "spatial_weight": 0, "bilateral_weight": 0}
CONF = Path(__file__).parents[2] / "conf" / "crf"


def scene() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    image = generator.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return image, generator.random((LABELS, HEIGHT, WIDTH), dtype=np.float32) * 3


def raw_field(unary: np.ndarray) -> DenseCRF2D:
    field = DenseCRF2D(WIDTH, HEIGHT, LABELS)
    field.setUnaryEnergy(unary.reshape(LABELS, WIDTH * HEIGHT).copy())
    return field


def marginals(field: DenseCRF2D, iterations: int) -> np.ndarray:
    return np.asarray(field.inference(iterations)).reshape(LABELS, HEIGHT, WIDTH)


def test_unary_by_hand() -> None:
    probs = np.array([1, 1 / 4, 1e-9]).reshape(3, 1, 1)
    unary = unary_from_probabilities(probs)
    assert unary.dtype == np.float32
    assert unary.flatten().tolist() == pytest.approx([0, np.log(4), np.log(1e5)], rel=1e-6)
    assert unary_from_probabilities(probs, floor=1 / 2).flatten().tolist() == pytest.approx([0, np.log(2), np.log(2)])


def test_the_softmax_of_the_unary_gives_the_probabilities_back() -> None:
    probs = softmax(scene()[1], axis=0)
    np.testing.assert_allclose(softmax(-unary_from_probabilities(probs), axis=0), probs, rtol=1e-5)


@pytest.mark.parametrize("value", [-0.5, np.nan])
def test_scores_are_no_probabilities(value: float) -> None:
    with pytest.raises(ValueError, match="softmax"):
        unary_from_probabilities(np.array([[[0.5, value]]]))


def test_a_floor_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="floor"):
        unary_from_probabilities(np.ones((1, 1, 1)), floor=0.0)


def test_equal_to_the_calls_of_pydensecrf() -> None:
    image, unary = scene()
    field = raw_field(unary)
    field.addPairwiseGaussian(sxy=2, compat=3)
    field.addPairwiseBilateral(sxy=55, srgb=3, rgbim=image, compat=4)
    assert np.array_equal(dense_crf(image, unary, **PARAMETERS), marginals(field, 10))


def test_each_kernel_alone_is_equal_to_the_call_of_pydensecrf() -> None:
    image, unary = scene()
    spatial, bilateral = raw_field(unary), raw_field(unary)
    spatial.addPairwiseGaussian(sxy=2, compat=3)
    bilateral.addPairwiseBilateral(sxy=55, srgb=3, rgbim=image, compat=4)
    only_spatial = dense_crf(image, unary, **{**PARAMETERS, "bilateral_weight": 0, "iterations": 4})
    only_bilateral = dense_crf(image, unary, **{**PARAMETERS, "spatial_weight": 0, "iterations": 4})
    assert np.array_equal(only_spatial, marginals(spatial, 4))
    assert np.array_equal(only_bilateral, marginals(bilateral, 4))


def test_without_kernels_it_is_the_identity() -> None:
    image, unary = scene()
    np.testing.assert_allclose(dense_crf(image, unary, **NO_KERNELS), softmax(-unary, axis=0), rtol=1e-5)


def test_a_single_label_has_probability_one() -> None:
    image, unary = scene()
    assert (dense_crf(image, unary[:1], **PARAMETERS) == 1).all()


def test_marginals_sum_to_one() -> None:
    result = dense_crf(*scene(), **PARAMETERS)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result.sum(axis=0), 1, rtol=1e-5)


def test_a_constant_per_pixel_cancels() -> None:
    image, unary = scene()
    offset = np.linspace(-2, 2, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    np.testing.assert_allclose(
        dense_crf(image, unary + offset, **PARAMETERS), dense_crf(image, unary, **PARAMETERS), atol=1e-4
    )


def test_rows_stay_rows_in_an_image_that_is_not_square() -> None:
    # Horizontal stripes of colour: labels follow them only if image and unary are read in the same order.
    stripes = np.arange(HEIGHT) // 4 % 2
    image = np.repeat(np.where(stripes, 255, 0).astype(np.uint8), WIDTH * 3).reshape(HEIGHT, WIDTH, 3)
    truth = np.repeat(stripes, WIDTH).reshape(HEIGHT, WIDTH)
    probs = np.where(truth == np.arange(2)[:, None, None], 0.6, 0.4)
    probs[:, :, ::5] = 0.5
    result = dense_crf(image, unary_from_probabilities(probs), **{**PARAMETERS, "spatial_weight": 0})
    assert np.array_equal(result.argmax(axis=0), truth)


def test_isolated_noise_is_smoothed_away() -> None:
    probs = np.full((2, HEIGHT, WIDTH), [[[0.8]], [[0.2]]])
    probs[:, 5, 8] = 0.3, 0.7
    unary = unary_from_probabilities(probs)
    assert dense_crf(np.zeros((HEIGHT, WIDTH, 3), np.uint8), unary, **NO_KERNELS)[1, 5, 8] > 0.5
    smoothed = dense_crf(np.zeros((HEIGHT, WIDTH, 3), np.uint8), unary, **PARAMETERS)
    assert (smoothed[1] < 0.1).all()


def test_memory_order_and_write_protection_of_the_arguments_do_not_matter() -> None:
    image, unary = scene()
    expected = dense_crf(image, unary, **PARAMETERS)
    strided = np.ascontiguousarray(unary.transpose(1, 2, 0)).transpose(2, 0, 1)
    image.setflags(write=False)
    strided.setflags(write=False)
    assert np.array_equal(dense_crf(image, strided, **PARAMETERS), expected)


@pytest.mark.parametrize(
    "image, message",
    [
        (np.zeros((HEIGHT, WIDTH, 3), np.float32), "uint8"),
        (np.zeros((3, HEIGHT, WIDTH), np.uint8), r"\(H, W, 3\)"),
        (np.zeros((HEIGHT, WIDTH), np.uint8), r"\(H, W, 3\)"),
        (np.zeros((WIDTH, HEIGHT, 3), np.uint8), r"unary must be float32 \(L, 17, 11\)"),
        (np.zeros((HEIGHT, WIDTH * 2, 3), np.uint8)[:, ::2], "C-contiguous"),
    ],
)
def test_other_images_are_refused(image: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dense_crf(image, scene()[1], **PARAMETERS)


@pytest.mark.parametrize(
    "unary, message",
    [
        (np.zeros((LABELS, HEIGHT, WIDTH)), "float32"),
        (np.zeros((LABELS, HEIGHT * WIDTH), np.float32), "unary"),
        (np.full((LABELS, HEIGHT, WIDTH), np.inf, np.float32), "infinity"),
    ],
)
def test_other_unaries_are_refused(unary: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dense_crf(scene()[0], unary, **PARAMETERS)


@pytest.mark.parametrize("name, value", [("spatial_weight", -1), ("color_sigma", 0), ("iterations", 0)])
def test_parameters_out_of_range_are_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match="need weights"):
        dense_crf(*scene(), **{**PARAMETERS, name: value})


@pytest.mark.parametrize(
    "name, values",
    [
        ("krahenbuehl", (3, 3, 10, 80, 13, 10)),
        ("sec", (3, 3, 10, 80, 13, 10)),
        ("deeplab_v2", (3, 1, 4, 67, 3, 10)),
        ("coseg", (3, 2, 4, 55, 3, 10)),
    ],
)
def test_parameter_sets_name_exactly_the_keywords(name: str, values: tuple[int, ...]) -> None:
    parameters = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    assert parameters.pop("_target_") == "wsss_lightning.ops.crf.dense_crf"
    assert parameters.pop("_partial_") is True
    assert parameters == dict(zip(PARAMETERS, values, strict=True))
    assert dense_crf(*scene(), **parameters).shape == (LABELS, HEIGHT, WIDTH)


# Higher-order terms.


def regions_of(pixels: int = HEIGHT * WIDTH) -> np.ndarray:
    return (np.arange(pixels) * 7 // pixels).reshape(HEIGHT, WIDTH)


def test_region_potential_by_hand() -> None:
    probs = np.array([[[0.5, 0.25, 1.0]], [[0.5, 0.75, 0.0]]])
    costs = region_potential(probs, np.array([[0, 0, 1]]))
    np.testing.assert_allclose(costs, [[-np.log(3 / 8), -np.log(5 / 8)], [0, np.log(1e5)]], rtol=1e-6)


def test_regions_need_pixels_and_the_size_of_the_probabilities() -> None:
    with pytest.raises(ValueError, match="region 1 has no pixel"):
        region_potential(np.ones((2, 1, 2)), np.array([[0, 2]]))
    with pytest.raises(ValueError, match="differ in size"):
        region_potential(np.ones((2, 1, 2)), np.array([[0, 1, 1]]))


def test_scores_become_the_energies_of_their_softmax() -> None:
    scores = scene()[1]
    np.testing.assert_allclose(unary_from_scores(scores), unary_from_probabilities(softmax(scores, axis=0)), atol=1e-6)


def test_regions_that_cost_the_same_whatever_they_are_change_nothing() -> None:
    image, unary = scene()
    free = np.full((7, LABELS), 0.3)
    with_regions = dense_crf(image, unary, regions_of(), free, **PARAMETERS)
    np.testing.assert_allclose(with_regions, dense_crf(image, unary, **PARAMETERS), atol=2e-6)


def test_without_pairs_each_update_is_that_of_the_regions_alone() -> None:
    image, unary = scene()
    regions, costs = regions_of(), np.random.default_rng(0).random((7, LABELS)) * 2
    q = softmax(-unary.reshape(LABELS, -1).astype(np.float64), axis=0)
    for _ in range(10):
        q = softmax(-unary.reshape(LABELS, -1) - region_energies(q, regions.ravel(), costs, 4.0), axis=0)
    found = dense_crf(image, unary, regions, costs, maximum_cost=4.0, **NO_KERNELS)
    np.testing.assert_allclose(found.reshape(LABELS, -1), q, atol=1e-5)


def test_a_region_takes_the_label_of_its_majority() -> None:
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    probs = np.full((2, HEIGHT, WIDTH), 0.001)
    probs[0] = 0.999
    probs[:, 3, 3] = [0.45, 0.55]
    regions = np.zeros((HEIGHT, WIDTH), int)
    unary = unary_from_probabilities(probs)
    alone = dense_crf(image, unary, **NO_KERNELS)
    together = dense_crf(image, unary, regions, region_potential(probs, regions), **NO_KERNELS)
    assert alone[1, 3, 3] > 0.5 > together[1, 3, 3]


def test_regions_and_costs_must_fit() -> None:
    image, unary = scene()
    with pytest.raises(ValueError, match=r"costs \(R, 3\), not"):
        dense_crf(image, unary, regions_of(), np.zeros((6, LABELS)), **PARAMETERS)
    with pytest.raises(ValueError, match="nan or infinity"):
        dense_crf(image, unary, regions_of(), np.full((7, LABELS), np.inf), **PARAMETERS)
