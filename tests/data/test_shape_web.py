"""The generated stand-in for images from the web."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from wsss_lightning.data.images import read_image
from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.shape_scenes import PICTURE_KINDS, Scene, scene, web_picture
from wsss_lightning.data.shape_web import write_web_pictures
from wsss_lightning.data.shapes import CLASSES
from wsss_lightning.data.web import WebDataModule
from wsss_lightning.errors import InputError

SETTINGS = {"per_class": 10, "wrong": 0.2, "duplicates": 0.2, "size": 64}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web")
    write_web_pictures(folder, **SETTINGS)  # type: ignore[arg-type]
    return folder


def open_web(root: Path) -> WebDataModule:
    return WebDataModule(root=root, names=CLASSES, masks="SegmentationClass")


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_golden_picture() -> None:
    made = web_picture(3, layout=5, light=6)
    digest = hashlib.sha256(made.image.tobytes() + made.mask().tobytes()).hexdigest()
    assert digest[:16] == "49907c06d6188ada"


def test_the_web_reader_reads_it(root: Path) -> None:
    data = open_web(root)
    records = data.records("train")
    assert len(records) == 80
    for record in records:
        (index,) = np.flatnonzero(record.tags)
        assert record.image_id.rpartition("_")[0] == CLASSES[index]
        assert read_image(record.image).shape == (64, 64, 3)


def test_masks_say_what_is_really_seen(root: Path) -> None:
    """Of ten images the last two show something else: another class, or a body without a part, which is background."""
    data, others = open_web(root), set()
    for record in data.records("train"):
        label, number = int(record.tags.argmax()) + 1, int(record.image_id[-4:])
        shown = set(np.unique(data.read_target(record))) - {0, 255}
        assert shown == {label} if number < 8 else label not in shown
        others |= {frozenset(shown)} if number >= 8 else set()
    assert frozenset() in others and len(others) > 3


def test_objects_are_large_and_grounds_quiet() -> None:
    made = [web_picture(number % 8, layout=number, light=0) for number in range(80)]
    shares = np.array([(picture.instances > 0).mean() for picture in made])
    assert shares.min() >= 0.2 and shares.max() <= 0.8
    scenes = [scene(index, split=0) for index in range(80)]
    assert shares.mean() > 1.3 * np.mean([(one.instances > 0).mean() / len(one.classes) for one in scenes])

    def spread(images: list[Scene]) -> float:
        return float(np.mean([one.image[one.instances == 0].std(axis=0).mean() for one in images]))

    assert spread(made) < 0.8 * spread(scenes)


def test_texture_all_over_a_body_changes_nothing_but_the_body() -> None:
    settings = {"layout": 5, "light": 6}
    disc, body = (web_picture(2, **settings, textured=where) for where in ("part", "body"))  # type: ignore[arg-type]
    assert (disc.mask() == body.mask()).all()
    changed = (disc.image.astype(int) != body.image).any(axis=-1)
    inner = body.parts == 1
    assert changed[inner].mean() > 0.9
    assert changed[body.parts == 2].mean() < 0.2  # the focus carries some of it over the edge
    assert not changed[:8, :8].any()


def test_large_bodies_show_the_class_in_several_of_nine_patches() -> None:
    """Where a class's texture covers a quarter of a patch at least; the paper's premise (patches sec. 3.2)."""
    made = [web_picture(k % 8, layout=k, light=0, textured="body", area=(45, 76)) for k in range(80)]
    cells = np.array([(one.parts[:126, :126] > 0).reshape(3, 42, 3, 42).mean(axis=(1, 3)) for one in made])
    assert (cells > 0.25).sum(axis=(1, 2)).mean() > 6
    shares = np.array([(one.parts > 0).mean() for one in made])
    assert shares.mean() > 0.45


@pytest.mark.parametrize("area", [(0, 46), (46, 46), (50, 101)])
def test_areas_that_are_none_are_refused(tmp_path: Path, area: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="area="):
        write_web_pictures(tmp_path, **SETTINGS, area=area)  # type: ignore[arg-type]
    assert not any(tmp_path.iterdir())


def test_bodies_alone_are_background() -> None:
    made = web_picture(len(PICTURE_KINDS) - 1, layout=0, light=0)
    assert made.classes == () and not made.mask().any()


def test_a_fifth_shows_the_image_before_in_another_light(root: Path) -> None:
    for name in CLASSES:
        masks = [read_mask(root / f"SegmentationClass/{name}_{number:04d}.png") for number in range(8)]
        same = [index for index in range(1, 8) if np.array_equal(masks[index], masks[index - 1])]
        assert same == [1, 3]
        first, second = (read_image(root / f"JPEGImages/{name}_{number:04d}.jpg") for number in (0, 1))
        assert not np.array_equal(first, second)


def test_a_larger_share_of_wrong_images_leaves_the_others(root: Path, tmp_path: Path) -> None:
    write_web_pictures(tmp_path, **SETTINGS | {"wrong": 0.4})  # type: ignore[arg-type]
    ours, theirs = contents(root), contents(tmp_path)
    changed = {name for name in ours if ours[name] != theirs[name] and name.endswith(".jpg")}
    assert changed == {f"JPEGImages/{name}_{number:04d}.jpg" for name in CLASSES for number in (6, 7)}


def test_a_killed_call_can_be_repeated(root: Path, tmp_path: Path) -> None:
    write_web_pictures(tmp_path, **SETTINGS)  # type: ignore[arg-type]
    kept = tmp_path / "JPEGImages" / "dot_egg_0003.jpg"
    os.utime(kept, (1, 1))
    (tmp_path / "SegmentationClass" / "ray_tent_0001.png").unlink()
    (tmp_path / "tags.csv").unlink()
    write_web_pictures(tmp_path, **SETTINGS, processes=2)  # type: ignore[arg-type]
    assert kept.stat().st_mtime == 1
    assert contents(tmp_path) == contents(root)


def test_other_settings_need_another_folder(root: Path) -> None:
    with pytest.raises(InputError, match="choose another folder"):
        write_web_pictures(root, **SETTINGS | {"seed": 1})  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"give shares in 0\.\.1"):
        write_web_pictures(root, **SETTINGS | {"wrong": 40})  # type: ignore[arg-type]
