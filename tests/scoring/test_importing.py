from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_segmenter import open_voc, write_weak_masks

from wsss_lightning.data.imports import Imported, read_imported
from wsss_lightning.data.masks import read_mask, write_mask
from wsss_lightning.data.voc import VOC_CLASSES, VOCDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.opened import recorded
from wsss_lightning.scoring.cams import read_cam_maps
from wsss_lightning.scoring.importing import import_predictions
from wsss_lightning.stages.label_imported import label_imported

SIZE = (24, 32)
REVERSED = VOC_CLASSES[::-1]
LAST = len(VOC_CLASSES)


@pytest.fixture
def data(tmp_path: Path) -> VOCDataModule:
    return open_voc(tmp_path / "voc")


def bring(tmp_path: Path, data: VOCDataModule, **settings: Any) -> tuple[Imported, list[str]]:
    defaults: dict[str, Any] = {"classes": None, "origin": "psa", "supervision": "image tags", "partial_ok": False}
    return import_predictions(
        folder=tmp_path / "theirs",
        data=data,
        split="train",
        out=tmp_path / "out",
        processes=1,
        progress=False,
        **{**defaults, **settings},
    )


def label(tmp_path: Path, data: VOCDataModule, **settings: Any) -> dict[str, float]:
    defaults: dict[str, Any] = {"background": 0.2, "foreground": None, "crf": None, "split": "train"}
    run: dict[str, Any] = {"workers": 1, "progress": False}
    return label_imported(
        out_dir=str(tmp_path / "labels"), data=data, imported=str(tmp_path / "out"), **defaults | run | settings
    )


def write_reversed(tmp_path: Path, data: VOCDataModule) -> None:
    """Masks of `write_weak_masks` whose class k is LAST + 1 - k."""
    folder = Path(write_weak_masks(tmp_path / "theirs", data))
    for path in folder.iterdir():
        mask = read_mask(path)
        write_mask(path, np.where(mask, LAST + 1 - mask, 0).astype(np.uint8))


def test_masks_of_another_order_come_back_in_the_data_sets(tmp_path: Path, data: VOCDataModule) -> None:
    write_reversed(tmp_path, data)
    imported, untagged = bring(tmp_path, data, classes=REVERSED)
    assert (imported.kind, imported.images, imported.missing, imported.truth, untagged) == ("masks", 3, 0, 0, [])
    assert read_imported(tmp_path / "out") == imported
    write_weak_masks(tmp_path / "expected", data)
    with recorded() as opened:
        assert label(tmp_path, data) == {"train/images": 3, "train/empty": 0}
    for path in (tmp_path / "expected").iterdir():
        assert np.array_equal(read_mask(tmp_path / "labels" / "masks" / path.name), read_mask(path))
    labels = "imported: masks of psa, 3 of 3 images"
    assert opened.imports == {labels: "image tags (as said of what was imported)"} and opened.ground_truth() == {}


def test_another_order_of_classes_is_noticed_by_the_tags(tmp_path: Path, data: VOCDataModule) -> None:
    write_reversed(tmp_path, data)
    with pytest.raises(InputError, match=r"3 of 3 files .* none of their image's tags, .*say it with --classes"):
        bring(tmp_path, data)
    with pytest.raises(InputError, match="--classes: 'horsy' is no class"):
        bring(tmp_path, data, classes=["horsy"])
    assert not (tmp_path / "out").exists()


def test_maps_that_count_from_1_come_in_with_the_background_first(tmp_path: Path, data: VOCDataModule) -> None:
    (tmp_path / "theirs").mkdir()
    for record in data.records("train"):
        maps = {int(label) + 1: np.linspace(0, 1, 24 * 32).reshape(SIZE) for label in np.flatnonzero(record.tags)}
        np.save(tmp_path / "theirs" / f"{record.image_id}.npy", maps, allow_pickle=True)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"\(background first where CAMs count from 1\)"):
        bring(tmp_path, data)
    imported, untagged = bring(tmp_path, data, classes=["background", *VOC_CLASSES])
    assert imported.images == 3 and untagged == []
    record = data.records("train")[0]
    labels, _ = read_cam_maps(tmp_path / "out" / "cams" / f"{record.image_id}.npy", labels=data.labels, size=SIZE)
    assert labels.tolist() == (np.flatnonzero(record.tags) + 1).tolist()


def test_the_background_of_masks_may_be_named(tmp_path: Path, data: VOCDataModule) -> None:
    write_reversed(tmp_path, data)
    assert bring(tmp_path, data, classes=["background", *REVERSED])[1] == []


def test_copies_of_the_ground_truth_are_called_so(tmp_path: Path, data: VOCDataModule) -> None:
    (tmp_path / "theirs").mkdir()
    for number, record in enumerate(data.records("train")):
        assert record.mask is not None
        mask = read_mask(record.mask)
        mask[0, 0] = 255 if number == 0 else mask[0, 0]
        write_mask(tmp_path / "theirs" / f"{record.image_id}.png", mask)
    imported, _ = bring(tmp_path, data)
    assert imported.truth == 2
    assert imported.made_from == "ground-truth masks of 2 training images, imported"


def test_maps_of_clip_es_are_written_in_the_projects_form(tmp_path: Path, data: VOCDataModule) -> None:
    (tmp_path / "theirs").mkdir()
    for record in data.records("train")[1:]:
        keys = np.flatnonzero(record.tags)[:1]
        refined = np.full((1, *SIZE), 0.5, np.float16)
        content = np.array({"keys": keys, "highres": 0 * refined, "attn_highres": refined}, dtype=object)
        np.save(tmp_path / "theirs" / f"{record.image_id}.npy", content, allow_pickle=True)
    with pytest.raises(InputError, match=r"no file of 1 of the 3 images of train, .*--partial"):
        bring(tmp_path, data)
    imported, _ = bring(tmp_path, data, partial_ok=True)
    assert (imported.kind, imported.images, imported.missing) == ("cams", 2, 1)
    record = data.records("train")[1]
    labels, maps = read_cam_maps(tmp_path / "out" / "cams" / f"{record.image_id}.npy", labels=data.labels, size=SIZE)
    assert labels.tolist() == [np.flatnonzero(record.tags)[0] + 1] and (maps == 0.5).all()
    assert label(tmp_path, data) == {"train/images": 2, "train/empty": 0}
    assert (read_mask(tmp_path / "labels" / "masks" / f"{record.image_id}.png") == labels[0]).all()
    with pytest.raises(InputError, match="out holds an import already"):
        bring(tmp_path, data, partial_ok=True)


def test_an_import_for_other_classes_and_none_at_all_are_refused(tmp_path: Path, data: VOCDataModule) -> None:
    write_reversed(tmp_path, data)
    with pytest.raises(InputError, match=r"has no readable import\.json: have `wsss data import` write"):
        label(tmp_path, data)
    bring(tmp_path, data, classes=REVERSED)
    with pytest.raises(InputError, match=r"imported for the classes aeroplane, .* import it again"):
        label(tmp_path, open_voc(tmp_path / "voc", names=REVERSED))
