"""The generated scenes: VOC's layout, the same bytes everywhere, hard where photographs are hard."""

import hashlib
import os
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.ensemble import RandomForestClassifier

from wsss_lightning.data import shape_scenes
from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.shape_figures import BODY, KINDS, LIMB, PART
from wsss_lightning.data.shape_textures import Ground, cobble, reeds
from wsss_lightning.data.shapes import CLASSES, PICTURE_CLASSES, Scene, figure_picture, scene, write_scenes
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.metrics.segmentation import confusion_matrix, mean_iou

FOLDERS = ("JPEGImages", "SegmentationClass", "Annotations", "Parts", "ImageSets")


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [scene(index, split=0) for index in range(400)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    write_scenes(folder, train=6, val=3)
    return folder


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


# The same everywhere.


@pytest.mark.parametrize(
    ("split", "index", "size", "expected"),
    [(0, 0, 128, "7a652a53dda3de7b"), (0, 7, 160, "5f98131bb14c8c87"), (1, 3, 128, "60c2c0ea4da30348")],
)
def test_golden_scenes(split: int, index: int, size: int, expected: str) -> None:
    made = scene(index, split=split, size=size)
    digest = hashlib.sha256(made.image.tobytes() + made.mask().tobytes() + made.parts.tobytes()).hexdigest()
    assert digest[:16] == expected


def test_textured_bodies_differ_where_bodies_and_parts_are_alone() -> None:
    disc, body = (scene(3, split=0, textured=where) for where in ("part", "body"))  # type: ignore[arg-type]
    assert np.array_equal(disc.parts, body.parts) and np.array_equal(disc.mask(), body.mask())
    contrast = [
        np.abs(np.diff(each.image.astype(int).sum(axis=2), axis=1))[disc.parts[:, 1:] == BODY].mean()
        for each in (disc, body)
    ]
    assert contrast[1] > 2 * contrast[0]


def test_golden_picture() -> None:
    assert hashlib.sha256(figure_picture(11)[0].tobytes()).hexdigest()[:16] == "72d6b396f2425ed5"


def test_splits_seeds_and_indices_differ() -> None:
    made = [scene(0, split=0), scene(1, split=0), scene(0, split=1), scene(0, split=0, seed=1)]
    assert len({one.image.tobytes() for one in made}) == 4
    assert not np.array_equal(figure_picture(0)[0], figure_picture(len(PICTURE_CLASSES))[0])


# The layout.


def test_the_voc_reader_reads_it(root: Path) -> None:
    data = VOCDataModule(root=root, names=CLASSES, train_list="train", val_list="val")
    assert data.tags_source == "xml"
    for split, (name, count) in enumerate((("train", 6), ("val", 3))):
        records = data.reader.read_records(name, tagged=True)
        assert len(records) == count
        for index, record in enumerate(records):
            made = scene(index, split=split)
            assert set(np.flatnonzero(record.tags) + 1) == set(made.classes)
            assert np.array_equal(read_mask(record.mask), made.mask())
            assert np.abs(np.array(Image.open(record.image)).astype(int) - made.image).mean() < 12  # JPEG


def test_lists_and_parts(root: Path) -> None:
    lists = {name: (root / f"ImageSets/Segmentation/{name}.txt").read_text() for name in ("train", "val", "trainval")}
    assert lists["trainval"] == lists["train"] + lists["val"]
    assert lists["val"].split() == ["val_000000", "val_000001", "val_000002"]
    assert np.array_equal(read_mask(root / "Parts/val_000002.png"), scene(2, split=1).parts)


def test_annotation_boxes_hold_what_is_seen(root: Path) -> None:
    made = scene(4, split=0)
    objects = ElementTree.parse(root / "Annotations/train_000004.xml").findall("object")
    assert [node.findtext("name") for node in objects] == [CLASSES[label - 1] for label in made.classes]
    for number, node in enumerate(objects, start=1):
        left, top, right, bottom = (
            int(node.findtext(f"bndbox/{side}", "")) for side in ("xmin", "ymin", "xmax", "ymax")
        )
        inside = np.zeros_like(made.instances, dtype=bool)
        inside[top - 1 : bottom, left - 1 : right] = True
        seen = made.instances == number
        assert not (seen & ~inside).any()
        assert seen[top - 1].any() and seen[bottom - 1].any() and seen[:, left - 1].any() and seen[:, right - 1].any()


def test_border_is_one_pixel_and_spares_thin_parts() -> None:
    instances = np.zeros((5, 7), np.uint8)
    instances[:, 3] = 1  # a limb of one pixel
    made = Scene(np.zeros((5, 7, 3), np.uint8), (4,), instances, instances * np.uint8(LIMB))
    assert made.mask().tolist() == [[0, 0, 255, 4, 255, 0, 0]] * 5


def test_a_killed_call_can_be_repeated(root: Path, tmp_path: Path) -> None:
    write_scenes(tmp_path, train=2, val=1)
    kept = tmp_path / "JPEGImages/train_000000.jpg"
    os.utime(kept, (1, 1))
    (tmp_path / "SegmentationClass/train_000001.png").unlink()
    write_scenes(tmp_path, train=6, val=3, processes=2)
    assert kept.stat().st_mtime == 1
    assert contents(tmp_path) == contents(root)
    assert {path.name for path in tmp_path.iterdir()} == {*FOLDERS, "shapes.json"}


def test_another_seed_needs_another_folder(root: Path) -> None:
    with pytest.raises(InputError, match=r"shapes\.json .* another size, seed or texture: choose another folder"):
        write_scenes(root, train=6, val=3, seed=1)


def test_scenes_cannot_be_tiny(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="size=48"):
        write_scenes(tmp_path, size=48)


# What is in a scene.


def test_objects_per_image_and_area(scenes: list[Scene]) -> None:
    counts = np.bincount([len(made.classes) for made in scenes])
    assert counts[0] == 0 and len(counts) == 4 and (counts[1:] > 60).all()
    shares = np.array([(made.instances > 0).mean() for made in scenes])
    assert shares.min() >= 0.05 and shares.max() <= 0.60
    objects = [np.bincount(made.instances.ravel())[1:] / made.instances.size for made in scenes]
    assert np.quantile(np.concatenate(objects), 0.1) < 0.12 and np.quantile(np.concatenate(objects), 0.9) > 0.33


def test_every_class_is_in_sixty_images(scenes: list[Scene]) -> None:
    images = [sum(label in made.classes for made in scenes) for label in range(1, 9)]
    assert min(images) >= 60 and max(images) < 2 * min(images)


def test_bodies_are_shared_and_larger_than_parts(scenes: list[Scene]) -> None:
    assert all(sum(kind.outline is other.outline for other in KINDS) == 2 for kind in KINDS)
    assert len({kind.texture for kind in KINDS}) == 8
    pixels = sum(np.bincount(made.parts.ravel(), minlength=4) for made in scenes)
    assert pixels[BODY] > 3 * pixels[PART] > 0
    assert 0.02 < pixels[LIMB] / pixels[1:].sum() < 0.15


def test_every_object_shows_its_part(scenes: list[Scene]) -> None:
    for made in scenes:
        for number in range(1, len(made.classes) + 1):
            assert np.count_nonzero((made.instances == number) & (made.parts == PART)) >= 2 * 7**2


def test_objects_hide_one_another(scenes: list[Scene]) -> None:
    def touching(made: Scene) -> bool:
        first, second = made.instances[:, :-1], made.instances[:, 1:]
        return bool(((first != second) & (first > 0) & (second > 0)).any())

    several = [made for made in scenes if len(made.classes) > 1]
    assert sum(map(touching, several)) > len(several) / 3


@pytest.mark.parametrize(("classes", "ground"), [((1, 2), reeds), ((6,), cobble)])
def test_two_classes_have_a_habitat(classes: tuple[int, ...], ground: Ground) -> None:
    rng = np.random.default_rng(0)
    assert 0.85 <= np.mean([shape_scenes.random_ground(rng, classes) is ground for _ in range(2000)]) <= 0.92
    assert np.mean([shape_scenes.random_ground(rng, (1, 3)) is ground for _ in range(2000)]) < 0.2


def test_the_two_never_meet(scenes: list[Scene]) -> None:
    assert not any({2, 6} <= set(made.classes) for made in scenes)


# Hard, and not because it is impossible.


def colours(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Lab and RGB of a pixel and the mean RGB of the 5 x 5 around it, (P, 9)."""
    lab, mean = cv2.cvtColor(image, cv2.COLOR_RGB2LAB), cv2.blur(image, (5, 5))
    return np.concatenate([image, lab, mean], axis=2).reshape(-1, 9).astype(np.float32)


def test_colour_alone_does_not_segment(scenes: list[Scene]) -> None:
    rng = np.random.default_rng(0)
    features = np.concatenate([colours(made.image) for made in scenes[:60]])
    labels = np.concatenate([made.mask().ravel() for made in scenes[:60]])
    sample = rng.choice(np.flatnonzero(labels != 255), 20_000, replace=False)
    forest = RandomForestClassifier(30, min_samples_leaf=5, random_state=0).fit(features[sample], labels[sample])
    held_out = scenes[60:90]
    predicted = np.concatenate([forest.predict(colours(made.image)) for made in held_out])
    target = np.concatenate([made.mask().ravel() for made in held_out])
    score = mean_iou(confusion_matrix(torch.from_numpy(predicted), torch.from_numpy(target), 9))
    assert score <= 0.25


# Pictures.


def test_pictures_cycle_through_the_classes() -> None:
    assert len(PICTURE_CLASSES) == len(set(PICTURE_CLASSES)) == len(shape_scenes.PICTURE_KINDS) >= 16
    image, label = figure_picture(23, size=64)
    assert label == 23 % len(PICTURE_CLASSES) and image.shape == (64, 64, 3) and image.dtype == np.uint8


def test_names_say_part_and_body() -> None:
    for name, kind in zip(PICTURE_CLASSES, shape_scenes.PICTURE_KINDS, strict=True):
        texture, _, _ = name.rpartition("_")
        assert texture == (kind.texture.__name__ if kind.texture else "")
    assert PICTURE_CLASSES[: len(CLASSES)] == CLASSES
