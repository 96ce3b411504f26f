from pathlib import Path

import numpy as np
from fake_patches import open_patches, write_probabilities
from numpy.typing import NDArray
from PIL import Image

from wsss_lightning.data.images import read_image
from wsss_lightning.methods.patches.stages.preview_patches import draw_inference, in_green, preview_patches

GREY = np.full((96, 128, 3), 90, np.uint8)  # enlarged three times


def halves(image: NDArray[np.uint8]) -> NDArray[np.intp]:
    return np.broadcast_to(np.arange(image.shape[1]) * 2 // image.shape[1], image.shape[:2]).copy()


def tiles(picture: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Six pictures, three in a row, without their titles and margins."""
    found = [tile for row in np.vsplit(picture, 2) for tile in np.hsplit(row, 3)]
    size = 3 * 128 // 13
    return [tile[3 * size // 2 :, : 3 * 128][: 3 * 96 : 3, ::3] for tile in found]


def test_from_an_image_to_its_mask() -> None:
    """The left half is sure for the most part, the right half for a small one: superpixels fill and empty them."""
    probs = np.full((96, 128), 0.1, np.float32)
    probs[:, :50], probs[:10, 64:] = 0.9, 0.7
    truth = np.zeros((96, 128), bool)
    truth[90:] = True
    picture = draw_inference(GREY, probs=probs, threshold=0.6, superpixels=halves(GREY), truth=truth)
    image, heat, pixels, borders, smoothed, last = tiles(picture)
    left = np.zeros((96, 128), bool)
    left[:, :64] = True
    assert np.array_equal(image, GREY)
    assert np.array_equal(pixels, in_green(GREY, probs > 0.6))
    assert np.array_equal(smoothed, in_green(GREY, left))
    assert np.array_equal(last, in_green(GREY, truth))
    assert (borders[:, 63:65] == 255).all() and (borders[:, :60] == 90).all()
    warm, cold = heat[50, 10].astype(int), heat[50, 60].astype(int)
    assert warm[0] > 2 * warm[2] and cold[2] > 1.5 * cold[0]


def test_colours_of_probabilities_do_not_depend_on_the_image() -> None:
    some, even = np.full((96, 128), 0.4, np.float32), np.full((96, 128), 0.4, np.float32)
    some[:48] = 0.9
    whole = np.zeros((96, 128), np.intp)
    drawn = [
        tiles(draw_inference(GREY, probs=probs, threshold=0.5, superpixels=whole, truth=whole > 0))[1]
        for probs in (some, even)
    ]
    assert np.array_equal(drawn[0][48:], drawn[1][48:]) and not np.array_equal(drawn[0][:48], drawn[1][:48])


def test_green_is_half() -> None:
    where = np.zeros((96, 128), bool)
    where[3, 4] = True
    found = in_green(GREY, where)
    assert found[3, 4].tolist() == [45, 172, 45] and (found[~where] == 90).all() and (GREY == 90).all()


def test_images_that_show_the_class_are_drawn(tmp_path: Path) -> None:
    data = open_patches(tmp_path / "voc")
    levels = write_probabilities(tmp_path / "predicted", data, "val")
    shown = {name: [r for r in data.records("val") if r.tags[c]] for c, name in enumerate(data.class_names)}
    target = next(name for name, records in shown.items() if records)
    others = next(name for name, records in shown.items() if not records)
    for name in (target, others):
        preview_patches(
            out_dir=str(tmp_path / name),
            data=data,
            probabilities=str(tmp_path / "predicted"),
            threshold=0.5,
            superpixels=halves,
            target=name,
            panels=5,
        )
    pictures = {path.parent.name: path for path in (tmp_path / target).glob("*/inference.png")}
    assert set(pictures) == {record.image_id for record in shown[target]}
    assert not (tmp_path / others).exists()
    record = shown[target][0]
    index = data.class_names.index(target) + 1
    expected = draw_inference(
        read_image(record.image),
        probs=(levels[record.image_id] / 65535).astype(np.float32),
        threshold=0.5,
        superpixels=halves(read_image(record.image)),
        truth=data.read_target(record) == index,
    )
    assert np.array_equal(np.array(Image.open(pictures[record.image_id])), expected)
