from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy.special import softmax

from wsss_lightning.errors import InputError
from wsss_lightning.ops import crf
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
BACKENDS = ["lattice", *(["pydensecrf"] if find_spec("pydensecrf") else [])]
CONF = Path(__file__).parents[2] / "conf" / "crf"


def scene() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    image = generator.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return image, generator.random((LABELS, HEIGHT, WIDTH), dtype=np.float32) * 3


def raw_field(unary: np.ndarray) -> Any:
    field = pytest.importorskip("pydensecrf.densecrf").DenseCRF2D(WIDTH, HEIGHT, LABELS)
    field.setUnaryEnergy(unary.reshape(LABELS, WIDTH * HEIGHT).copy())
    return field


def marginals(field: Any, iterations: int) -> np.ndarray:
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


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_kernels_it_is_the_identity(backend: str) -> None:
    image, unary = scene()
    np.testing.assert_allclose(
        dense_crf(image, unary, **NO_KERNELS, backend=backend), softmax(-unary, axis=0), rtol=1e-5
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_single_label_has_probability_one(backend: str) -> None:
    image, unary = scene()
    assert (dense_crf(image, unary[:1], **PARAMETERS, backend=backend) == 1).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_marginals_sum_to_one(backend: str) -> None:
    result = dense_crf(*scene(), **PARAMETERS, backend=backend)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result.sum(axis=0), 1, rtol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_constant_per_pixel_cancels(backend: str) -> None:
    image, unary = scene()
    offset = np.linspace(-2, 2, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    np.testing.assert_allclose(
        dense_crf(image, unary + offset, **PARAMETERS, backend=backend),
        dense_crf(image, unary, **PARAMETERS, backend=backend),
        atol=1e-4,
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_stay_rows_in_an_image_that_is_not_square(backend: str) -> None:
    # Horizontal stripes of colour: labels follow them only if image and unary are read in the same order.
    stripes = np.arange(HEIGHT) // 4 % 2
    image = np.repeat(np.where(stripes, 255, 0).astype(np.uint8), WIDTH * 3).reshape(HEIGHT, WIDTH, 3)
    truth = np.repeat(stripes, WIDTH).reshape(HEIGHT, WIDTH)
    probs = np.where(truth == np.arange(2)[:, None, None], 0.6, 0.4)
    probs[:, :, ::5] = 0.5
    result = dense_crf(image, unary_from_probabilities(probs), **{**PARAMETERS, "spatial_weight": 0}, backend=backend)
    assert np.array_equal(result.argmax(axis=0), truth)


@pytest.mark.parametrize("backend", BACKENDS)
def test_isolated_noise_is_smoothed_away(backend: str) -> None:
    probs = np.full((2, HEIGHT, WIDTH), [[[0.8]], [[0.2]]])
    probs[:, 5, 8] = 0.3, 0.7
    unary = unary_from_probabilities(probs)
    assert dense_crf(np.zeros((HEIGHT, WIDTH, 3), np.uint8), unary, **NO_KERNELS, backend=backend)[1, 5, 8] > 0.5
    smoothed = dense_crf(np.zeros((HEIGHT, WIDTH, 3), np.uint8), unary, **PARAMETERS, backend=backend)
    assert (smoothed[1] < 0.1).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_memory_order_and_write_protection_of_the_arguments_do_not_matter(backend: str) -> None:
    image, unary = scene()
    expected = dense_crf(image, unary, **PARAMETERS, backend=backend)
    strided = np.ascontiguousarray(unary.transpose(1, 2, 0)).transpose(2, 0, 1)
    image.setflags(write=False)
    strided.setflags(write=False)
    assert np.array_equal(dense_crf(image, strided, **PARAMETERS, backend=backend), expected)


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
    assert parameters == {**dict(zip(PARAMETERS, values, strict=True)), "backend": "auto", "device": "cpu"}
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


@pytest.mark.parametrize("backend", BACKENDS)
def test_regions_that_cost_the_same_whatever_they_are_change_nothing(backend: str) -> None:
    image, unary = scene()
    free = np.full((7, LABELS), 0.3)
    with_regions = dense_crf(image, unary, regions_of(), free, **PARAMETERS, backend=backend)
    np.testing.assert_allclose(with_regions, dense_crf(image, unary, **PARAMETERS, backend=backend), atol=2e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_pairs_each_update_is_that_of_the_regions_alone(backend: str) -> None:
    image, unary = scene()
    regions, costs = regions_of(), np.random.default_rng(0).random((7, LABELS)) * 2
    q = softmax(-unary.reshape(LABELS, -1).astype(np.float64), axis=0)
    for _ in range(10):
        q = softmax(-unary.reshape(LABELS, -1) - region_energies(q, regions.ravel(), costs, 4.0), axis=0)
    found = dense_crf(image, unary, regions, costs, maximum_cost=4.0, **NO_KERNELS, backend=backend)
    np.testing.assert_allclose(found.reshape(LABELS, -1), q, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_region_takes_the_label_of_its_majority(backend: str) -> None:
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    probs = np.full((2, HEIGHT, WIDTH), 0.001)
    probs[0] = 0.999
    probs[:, 3, 3] = [0.45, 0.55]
    regions = np.zeros((HEIGHT, WIDTH), int)
    unary = unary_from_probabilities(probs)
    alone = dense_crf(image, unary, **NO_KERNELS, backend=backend)
    together = dense_crf(image, unary, regions, region_potential(probs, regions), **NO_KERNELS, backend=backend)
    assert alone[1, 3, 3] > 0.5 > together[1, 3, 3]


def test_regions_and_costs_must_fit() -> None:
    image, unary = scene()
    with pytest.raises(ValueError, match=r"costs \(R, 3\), not"):
        dense_crf(image, unary, regions_of(), np.zeros((6, LABELS)), **PARAMETERS)
    with pytest.raises(ValueError, match="nan or infinity"):
        dense_crf(image, unary, regions_of(), np.full((7, LABELS), np.inf), **PARAMETERS)


# Backends.


@pytest.mark.parametrize(
    "installed, device, chosen",
    [(True, "cpu", "pydensecrf"), (True, "cuda:0", "lattice"), (False, "cpu", "lattice"), (False, "cuda", "lattice")],
)
def test_the_reference_is_taken_where_it_is_installed(
    installed: bool, device: str, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crf, "find_spec", lambda _: installed or None)
    assert crf._choose("auto", device) == chosen


@pytest.mark.skipif(BACKENDS == ["lattice"], reason="pydensecrf is not installed")
def test_auto_gives_the_bits_of_the_reference() -> None:
    assert np.array_equal(dense_crf(*scene(), **PARAMETERS), dense_crf(*scene(), **PARAMETERS, backend="pydensecrf"))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"backend": "densecrf"}, "crf.backend=densecrf is unknown"),
        ({"backend": "pydensecrf"}, r"wsss-lightning\[pydensecrf\].*crf.backend=lattice"),
    ],
)
def test_backends_that_are_not_there(settings: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crf, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=message):
        dense_crf(*scene(), **PARAMETERS, **settings)


def test_pydensecrf_has_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crf, "find_spec", lambda _: True)
    with pytest.raises(InputError, match=r"does not run on crf\.device=cuda"):
        dense_crf(*scene(), **PARAMETERS, backend="pydensecrf", device="cuda")
