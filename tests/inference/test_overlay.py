import numpy as np

from wsss_lightning.inference.overlay import draw_overlay

NAMES, PALETTE = ["background", "cat", "dog"], [[0, 0, 0], [64, 0, 0], [200, 10, 10]]


def test_background_stays_labels_are_tinted_and_named() -> None:
    image, labels = np.full((480, 600, 3), 100, np.uint8), np.zeros((480, 600), np.uint8)
    labels[100:200, 100:200] = 1
    drawn = draw_overlay(image, labels, names=NAMES, palette=PALETTE)
    assert drawn.shape[1] == 600 and drawn.shape[0] > 480
    assert (drawn[0, 0] == 100).all()
    assert drawn[150, 150].tolist() == [round(0.55 * 100 + 0.45 * value) for value in PALETTE[1]]
    assert drawn[150, 100].tolist() == PALETTE[1] and drawn[150, 99].tolist() == [255, 255, 255]
    legend = drawn[480:].reshape(-1, 3)
    assert (legend == PALETTE[1]).all(axis=1).any() and not (legend == PALETTE[2]).all(axis=1).any()


def test_small_pictures_are_enlarged_and_long_legends_wrapped() -> None:
    names = ["background", *(f"class_{number}" for number in range(20))]
    labels = np.arange(21, dtype=np.uint8).repeat(3).reshape(7, 9)
    drawn = draw_overlay(np.zeros((7, 9, 3), np.uint8), labels, names=names, palette=[[5 * i, 0, 0] for i in range(21)])
    assert drawn.shape[1] == 9 * 53 and drawn.shape[0] > 7 * 53 + 3 * 20
