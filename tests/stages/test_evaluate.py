import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_data import write_voc

from wsss_lightning.data.masks import read_mask, write_mask
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.scoring.folder import score_folder
from wsss_lightning.stages.evaluate import evaluate, mean_over, panel_records, random_share

VAL = tuple(f"2007_0000{number}" for number in range(10, 15))


def without_ignored(data: VOCDataModule) -> None:
    for record in data.records("val"):
        assert record.mask is not None
        mask = read_mask(record.mask)
        write_mask(record.mask, np.where(mask == 255, 0, mask))


# Truth without 255, with it, and with classes that neither truth nor prediction has or that are left out.
DATA: dict[str, dict[str, Any]] = {
    "all counts": {},
    "255": {},
    "absent classes": {"classes": ["bird", "aeroplane", "boat", "bottle", "cat", "sofa"]},
}


@pytest.fixture(params=DATA)
def data(request: pytest.FixtureRequest, tmp_path: Path) -> VOCDataModule:
    """Images with the classes n and n + 1, and masks beside them in which a third of the pixels is drawn at random."""
    write_voc(tmp_path / "voc", train=VAL[:1], sbd=(), val=VAL)
    data = VOCDataModule(root=tmp_path / "voc", train_list="train", **DATA[request.param])
    if request.param == "all counts":
        without_ignored(data)
    rng = np.random.default_rng(0)
    for record in data.records("val"):
        truth = data.read_target(record)
        assert (truth == 255).any() == (request.param != "all counts")
        drawn = rng.integers(0, 5, truth.shape, np.uint8)
        mask = np.where((rng.random(truth.shape) < 0.3) | (truth == 255), drawn, truth)
        write_mask(tmp_path / "masks" / f"{record.image_id}.png", data.decode(mask))
    return data


def run(data: VOCDataModule, tmp_path: Path, **settings: Any) -> dict[str, float]:
    given: dict[str, Any] = {"extra_masks": {}, "extra_panels": None, "groups": {}, "panels": 0, "loggers": {}}
    where = {"out_dir": str(tmp_path / "out"), "masks": str(tmp_path / "masks")}
    return evaluate(data=data, progress=False, **{**where, **given, **settings})


def matrices(tmp_path: Path) -> np.ndarray:
    return np.load(tmp_path / "out" / "confusion.npy")


def test_the_stage_and_the_command_count_the_same(data: VOCDataModule, tmp_path: Path) -> None:
    metrics = run(data, tmp_path, processes=1)

    def score() -> Any:
        return score_folder(
            folder=tmp_path / "masks", data=data, split="val", threshold=None, partial_ok=False, processes=1
        )

    whole = score()
    assert metrics["val/miou"] == whole.summary["miou"] < 1
    for name in ("pixel_accuracy", "mean_accuracy"):
        assert metrics[f"val/{name}"] == whole.summary[name]
    assert {name: metrics[f"val/iou/{name}"] for name in whole.names} == pytest.approx(whole.iou, nan_ok=True)
    assert matrices(tmp_path).sum(0).tolist() == whole.confusion.tolist()
    records = list(data.records("val"))
    for record, matrix in zip(records, matrices(tmp_path), strict=True):
        data.records("val")[:] = [record]
        assert score().confusion.tolist() == matrix.tolist()
    assert json.loads((tmp_path / "out" / "images.json").read_text()) == list(VAL)


def test_absent_classes_are_null_and_left_out_of_the_mean(data: VOCDataModule, tmp_path: Path) -> None:
    metrics = run(data, tmp_path)
    absent = [name for name in data.class_names if math.isnan(metrics[f"val/iou/{name}"])]
    assert absent and "bird" not in absent
    classes = json.loads((tmp_path / "out" / "classes.json").read_text())
    assert list(classes) == ["names", "indices", "iou", "pixels"]
    assert [name for name, iou in zip(classes["names"], classes["iou"], strict=True) if iou is None] == absent
    assert sum(classes["pixels"]) == matrices(tmp_path).sum()
    assert metrics["val/miou"] == pytest.approx(np.mean([iou for iou in classes["iou"] if iou is not None]))


@pytest.fixture
def plain(tmp_path: Path) -> VOCDataModule:
    """Twenty images, and their truth as masks."""
    write_voc(tmp_path / "voc", train=(), sbd=(), val=tuple(f"2007_0000{number}" for number in range(10, 30)))
    data = VOCDataModule(root=tmp_path / "voc")
    for record in data.records("val"):
        target = data.read_target(record)
        write_mask(tmp_path / "masks" / f"{record.image_id}.png", np.where(target == 255, 0, target))
    return data


def test_how_many_processes_work_changes_nothing(plain: VOCDataModule, tmp_path: Path) -> None:
    alone = run(plain, tmp_path, processes=1)
    kept = matrices(tmp_path)
    assert len(np.unique(kept, axis=0)) > 10
    assert str(run(plain, tmp_path, processes=2)) == str(alone) and (matrices(tmp_path) == kept).all()


def test_what_a_killed_process_left_beside_pictures_is_not_copied(plain: VOCDataModule, tmp_path: Path) -> None:
    image_id = panel_records(plain.records("val"), 1)[0].image_id
    for name in ("steps.png", ".steps.7.png", ".writing-1/steps.png"):
        (tmp_path / "more" / image_id / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "more" / image_id / name).touch()
    run(plain, tmp_path, panels=1, extra_panels=str(tmp_path / "more"))
    written = {path.name for path in (tmp_path / "out" / "panels" / image_id).iterdir()}
    assert written == {"image.png", "truth.png", "prediction.png", "steps.png"}


def test_panels_are_spread_and_have_the_further_masks(plain: VOCDataModule, tmp_path: Path) -> None:
    run(plain, tmp_path, panels=4, extra_masks={"before": str(tmp_path / "masks")})
    folders = sorted((tmp_path / "out" / "panels").iterdir())
    assert [folder.name for folder in folders] == [f"2007_0000{number}" for number in (10, 15, 20, 25)]
    assert {path.stem for path in folders[0].iterdir()} == {"image", "truth", "before", "prediction"}


def test_one_class_against_all_else(plain: VOCDataModule, tmp_path: Path) -> None:
    metrics = run(plain, tmp_path, target="bird")
    assert metrics == {"val/ap": 1, "val/foreground": 1, "val/background": 1}
    assert matrices(tmp_path).shape == (20, 2, 2)


def test_what_cannot_be_asked_for_together(plain: VOCDataModule, tmp_path: Path) -> None:
    for settings in ({"target": "bird", "foreground": True}, {"target": "bird", "groups": {"few": ["bird"]}}):
        with pytest.raises(InputError, match="one of groups, target and foreground"):
            run(plain, tmp_path, **settings)


def test_groups_are_scored_by_themselves(plain: VOCDataModule, tmp_path: Path) -> None:
    assert run(plain, tmp_path, groups={"few": ["bird", "cat"]})["val/miou/few"] == 1


def test_a_missing_mask_is_named_with_what_to_do(plain: VOCDataModule, tmp_path: Path) -> None:
    (tmp_path / "masks" / "2007_000012.png").unlink()
    with pytest.raises(InputError, match=r"2007_000012\.png does not exist: add it, or delete .* again"):
        run(plain, tmp_path)


def test_a_truth_without_a_pixel_of_a_class_is_refused(plain: VOCDataModule, tmp_path: Path) -> None:
    for record in plain.records("val"):
        assert record.mask is not None
        write_mask(record.mask, np.where(read_mask(record.mask) > 0, 255, 0).astype(np.uint8))
    with pytest.raises(InputError, match="have no pixel of any class"):
        run(plain, tmp_path)
    assert not list((tmp_path / "out").glob("*"))


def test_mean_over_a_group_counts_background_and_leaves_absent_classes_out() -> None:
    metrics = {"iou/background": 0.9, "iou/cat": 0.3, "iou/dog": math.nan, "iou/cow": 0.6}
    assert mean_over(metrics, ["cat", "dog"]) == (0.9 + 0.3) / 2


def test_a_random_share_follows_the_seed() -> None:
    numbers: list[Any] = list(range(1000))
    first, again, other = (random_share(numbers, share=0.1, seed=seed) for seed in (0, 0, 1))
    assert len(first) == 100 and first == again != other
    assert first == sorted(set(first))
    assert random_share(numbers, share=1.0, seed=0) == numbers
    assert len(random_share(numbers, share=0.0001, seed=0)) == 1
