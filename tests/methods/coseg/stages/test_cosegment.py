import csv
import shutil
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_collection import picture, write_collection
from joblib import parallel_config

from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.methods.coseg.detection import overlaps
from wsss_lightning.methods.coseg.exemplars import Exemplars
from wsss_lightning.methods.coseg.hog import Scan
from wsss_lightning.methods.coseg.joint_segmentation import Joint
from wsss_lightning.methods.coseg.mask_transfer import Transfer
from wsss_lightning.methods.coseg.seed_box import crisp_edges, seed_box
from wsss_lightning.methods.coseg.stages import discover as stage
from wsss_lightning.methods.coseg.stages.cosegment import cosegment
from wsss_lightning.methods.coseg.stages.cosegmentation import read_arrays, write_arrays
from wsss_lightning.methods.coseg.stages.discover import discover
from wsss_lightning.methods.coseg.subcategories import Merging, Pass
from wsss_lightning.methods.coseg.subcategory_detectors import Detectors

NAMES = ("egg", "brick")
SETTINGS: dict[str, Any] = {
    "side": 128,
    "edges": partial(crisp_edges, side=64),
    "box": partial(seed_box, canvas=100, share=0.9),
    "scan": Scan(area=1600, interval=2, least_share=0.5),
    "exemplars": Exemplars(most=4, background=8, regularisation=0.01, threshold=0.0, overlap=0.5, top=3, kept=0.8),
    "merging": Merging(0.5, Pass(0.8, 0.2), Pass(0.5, 0.6), dropped_mass=0.2, dropped_most=70, members=2),
    "joint": Joint(96, 6, 3, 0.1, 1.0, 10.0, 2, 0.2, 50),
    "detectors": Detectors(cost=0.02, negatives=6, windows=20, threshold=-0.5, overlap=0.5),
    "seed": 0,
}
CUTTING: dict[str, Any] = {
    **{name: SETTINGS[name] for name in ("side", "edges", "box", "seed")},
    "transfer": Transfer(64, 0.5, 0.7, 0.1, 3, 10.0, 2, 0.6, near=0.5),
    "kept": (0.2, 0.8),
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> VOCDataModule:
    """Images and tags alone: there is no mask to open."""
    root = write_collection(tmp_path_factory.mktemp("collection"), per_class=5)
    shutil.rmtree(root / "SegmentationClassAug")
    return VOCDataModule(root=root, names=NAMES, train_list="train", tags="npy")


@pytest.fixture(scope="module")
def whole(source: VOCDataModule, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    folder = tmp_path_factory.mktemp("whole")
    return folder, run(folder, source)


def run(folder: Path, source: VOCDataModule, *, workers: int = 1) -> dict[str, float]:
    shared: dict[str, Any] = {"source": source, "workers": workers, "progress": False}
    discover(out_dir=str(folder), **SETTINGS, **shared)
    return cosegment(out_dir=str(folder), discovery=str(folder), **CUTTING, **shared)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.png"))}


def test_the_thing_that_the_images_share_is_found(whole: tuple[Path, dict[str, float]], source: VOCDataModule) -> None:
    folder, counts = whole
    scores = []
    for record in source.records("train")[:-1]:
        found = read_mask(folder / "found" / f"{record.image_id}.png")
        label = int(np.flatnonzero(record.tags)[0]) + 1
        assert set(np.unique(found)) <= {0, label}
        _, truth = picture(int(record.image_id), stripes=label == 1)
        scores.append(((found > 0) & truth).sum() / ((found > 0) | truth).sum())
    assert np.mean(scores) > 0.8
    assert counts["images"] == 10 and counts["kept"] >= 8


def test_a_window_is_found_one_way_round(whole: tuple[Path, dict[str, float]]) -> None:
    pairs = 0
    for path in sorted((whole[0] / "steps" / "objects").glob("*.npz")):
        found = read_arrays(path)
        for number in np.unique(found["subcategory"]):
            boxes = found["box"][found["subcategory"] == number]
            pairs += len(boxes) - 1
            assert overlaps(boxes, boxes)[~np.eye(len(boxes), dtype=bool)].max(initial=0) <= 0.5
    assert pairs


def test_images_with_several_tags_are_left_out_and_kept_masks_are_copies(whole: tuple[Path, dict[str, float]]) -> None:
    folder, counts = whole
    assert not (folder / "found" / "000010.png").exists()
    with (folder / "kept.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    kept = {row["image_id"] for row in rows if row["outcome"] == "kept"}
    assert {path.stem for path in (folder / "masks").iterdir()} == kept and len(kept) == counts["kept"]
    for image_id in kept:
        name = f"{image_id}.png"
        assert (folder / "masks" / name).read_bytes() == (folder / "found" / name).read_bytes()


def test_a_run_that_was_stopped_goes_on_with_other_workers_to_the_same_masks(
    whole: tuple[Path, dict[str, float]], source: VOCDataModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "STEPS", (*stage.STEPS[:5], stop))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, source)
    monkeypatch.undo()
    done = {path: path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*.npz"))}
    gone = sorted((tmp_path / "steps" / "detections").iterdir())[::2]
    for path in gone:
        path.unlink()
    with parallel_config(backend="threading"):  # two processes would take longer to start than to work
        assert run(tmp_path, source, workers=2) == whole[1]
    assert contents(tmp_path) == contents(whole[0])
    assert all(path.stat().st_mtime_ns == time for path, time in done.items() if path not in gone)


def stop(*_: object) -> None:
    raise KeyboardInterrupt


def test_only_so_many_exemplars(whole: tuple[Path, dict[str, float]]) -> None:
    assert len(list((whole[0] / "steps" / "exemplars").iterdir())) == 2 * 4


def test_settings_arrive_where_they_are_named(source: VOCDataModule) -> None:
    names = {field.name for field in fields(stage.Cosegmentation)}
    assert names == set(SETTINGS)


def test_a_single_class_is_told_from_what_stands_outside_its_seed_boxes(tmp_path: Path) -> None:
    root = write_collection(tmp_path / "data", per_class=5)
    one = VOCDataModule(root=root, names=NAMES, classes=["egg"], train_list="train", tags="npy")
    counts = run(tmp_path / "out", one)
    assert list((tmp_path / "out" / "steps" / "models").iterdir())
    scores = []
    for record in (record for record in one.records("train")[:-1] if record.tags.sum() == 1):
        found = read_mask(tmp_path / "out" / "found" / f"{record.image_id}.png") > 0
        _, truth = picture(int(record.image_id), stripes=True)
        scores.append((found & truth).sum() / (found | truth).sum())
    assert np.mean(scores) > 0.8 and counts["images"] >= 5


def test_a_damaged_file_of_a_step_is_named(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", score=np.arange(3))
    assert read_arrays(tmp_path / "a.npz")["score"].tolist() == [0, 1, 2]
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 and no more")
    for name in ("a.npz", "b.npz"):
        with pytest.raises(InputError, match=f"{name} cannot be read"):
            read_arrays(tmp_path / name)
