"""Pixel-adaptive refinement against a plain loop over pixels and neighbours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from wsss_lightning.errors import InputError
from wsss_lightning.ops.par import pixel_adaptive_refinement
from wsss_lightning.pipeline.configuration import compose, plain_dict, project_folder

SETTINGS: dict[str, Any] = {"color_width": 0.4, "position_width": 0.6, "position_weight": 0.2, "dilations": [1, 2]}
RNG = np.random.default_rng(0)


def softmax(values: list[float]) -> NDArray[np.float64]:
    powers = np.exp(np.array(values) - max(values))
    return powers / powers.sum()


def by_loops(image: NDArray[np.uint8], probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """One iteration."""
    height, width = image.shape[:2]
    steps = [(dy, dx) for d in SETTINGS["dilations"] for dy in (-d, 0, d) for dx in (-d, 0, d) if dy or dx]
    far = [float(np.hypot(*step)) for step in steps]
    spread = np.std(far, ddof=1)
    by_place = softmax([-((d / (SETTINGS["position_width"] * spread)) ** 2) for d in far])
    refined = np.zeros_like(probs)
    for y in range(height):
        for x in range(width):
            near = [(min(max(y + dy, 0), height - 1), min(max(x + dx, 0), width - 1)) for dy, dx in steps]
            colours = np.array([image[place] for place in near], float)
            scale = SETTINGS["color_width"] * colours.std(axis=0, ddof=1)
            by_colour = softmax([-float((((c - image[y, x]) / scale) ** 2).mean()) for c in colours])
            weights = (by_colour + SETTINGS["position_weight"] * by_place) / (1 + SETTINGS["position_weight"])
            refined[:, y, x] = sum(w * probs[:, i, j] for w, (i, j) in zip(weights, near, strict=True))
    return refined


@pytest.mark.parametrize("iterations", [1, 3])
def test_it_is_what_the_loops_give(iterations: int) -> None:
    image = RNG.integers(0, 256, (6, 5, 3), np.uint8)
    expected = RNG.dirichlet([1, 1, 1], (6, 5)).transpose(2, 0, 1)
    unary = -np.log(expected).astype(np.float32)
    for _ in range(iterations):
        expected = by_loops(image, expected)
    refined = pixel_adaptive_refinement(image, unary, iterations=iterations, **SETTINGS)
    np.testing.assert_allclose(refined, expected, rtol=1e-4)
    np.testing.assert_allclose(refined.sum(axis=0), 1, rtol=1e-5)


def test_labels_move_to_the_edges_of_colours() -> None:
    """By `crf=par`, the setting that every stage with a CRF takes."""
    setting = plain_dict(compose(["crf=par"]).crf, resolve=True)
    assert setting == yaml.safe_load((Path(project_folder("conf")) / "crf" / "par.yaml").read_text(encoding="utf-8"))
    numbers = {name: value for name, value in setting.items() if not name.startswith("_")}
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, 20:] = 200
    image += RNG.integers(0, 9, image.shape, np.uint8)
    foreground = np.full((40, 40), 0.2)
    foreground[:, 24:] = 0.9
    unary = -np.log(np.stack([1 - foreground, foreground])).astype(np.float32)
    refined = pixel_adaptive_refinement(image, unary, **numbers).argmax(axis=0)
    assert (refined == (np.arange(40) >= 20)).mean() > 0.98 > (unary.argmin(axis=0) == (np.arange(40) >= 20)).mean()


def test_what_is_no_input_of_it_is_refused() -> None:
    image, unary = np.zeros((4, 4, 3), np.uint8), np.zeros((2, 4, 4), np.float32)
    with pytest.raises(InputError, match="no terms over regions"):
        pixel_adaptive_refinement(image, unary, np.zeros((4, 4), int), np.zeros((1, 2)), iterations=1, **SETTINGS)
    with pytest.raises(ValueError, match="differ in size"):
        pixel_adaptive_refinement(image, unary[:, 1:], iterations=1, **SETTINGS)
