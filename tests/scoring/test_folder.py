import json
import math
import pickle
from collections.abc import Callable, Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import torch
from fake_data import write_voc
from numpy.typing import NDArray
from rich.console import Console
from torchmetrics.classification import MulticlassJaccardIndex

from wsss_lightning.data.images import read_image
from wsss_lightning.data.masks import read_mask, write_mask
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.metrics.segmentation import trimap_accuracy
from wsss_lightning.scoring.evaluation import Evaluation, write_evaluation
from wsss_lightning.scoring.folder import SWEEP, score_folder
from wsss_lightning.scoring.plots import write_plots
from wsss_lightning.scoring.text import print_evaluation

VAL = tuple(f"2007_0000{number}" for number in range(10, 14))
CLASSES = ("bird", "aeroplane", "boat", "bottle", "cat")  # own indices 3, 1, 4, 5, 8
Masks = dict[str, NDArray[np.uint8]]


@pytest.fixture
def data(tmp_path: Path) -> VOCDataModule:
    """Images 1 to 4 of the val list show the classes n and n + 1; pixels of bicycle (2) are ignored."""
    write_voc(tmp_path / "voc", train=(), sbd=(), val=VAL)
    return VOCDataModule(root=tmp_path / "voc", classes=CLASSES)


def _truth(data: VOCDataModule) -> Masks:
    return {record.image_id: data.read_target(record) for record in data.records("val")}


def _noisy(data: VOCDataModule, folder: Path) -> Masks:
    """Write masks with a third of the pixels redrawn; returns them as labels."""
    generator, found = np.random.default_rng(0), {}
    for image_id, truth in _truth(data).items():
        drawn = generator.integers(0, 5, truth.shape, np.uint8)  # no cat
        found[image_id] = np.where((generator.random(truth.shape) < 0.3) | (truth == 255), drawn, truth)
        write_mask(folder / f"{image_id}.png", data.decode(found[image_id]))
    return found


def _cams(data: VOCDataModule, folder: Path) -> dict[str, tuple[list[int], NDArray[np.float32]]]:
    """Write CAMs of the image's tags; returns their labels and maps."""
    generator, found = np.random.default_rng(1), {}
    folder.mkdir()
    for record in data.records("val"):
        labels = (np.flatnonzero(record.tags) + 1).tolist()
        truth = data.read_target(record)
        noise = generator.random((len(labels), *truth.shape), np.float32)
        maps = ((truth == np.array(labels)[:, None, None]) * np.float32(0.4) + 0.6 * noise).astype(np.float32)
        content: Any = {"keys": data.labels.indices[np.array(labels) - 1] - 1, "high_res": maps}
        np.save(folder / f"{record.image_id}.npy", content)
        found[record.image_id] = (labels, maps)
    return found


def _evaluate(data: VOCDataModule, folder: Path, **changed: Any) -> Evaluation:
    given = {"threshold": None, "partial_ok": False, "processes": 1, "progress": False, "split": "val"} | changed
    return score_folder(folder=folder, data=data, **given)


def _flat(truth: Masks, pred: Masks) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    true, predicted = (np.concatenate([masks[image_id].ravel() for image_id in truth]) for masks in (truth, pred))
    return true[true != 255], predicted[true != 255]


def _outputs(evaluation: Evaluation, folder: Path) -> tuple[str, Any]:
    text = StringIO()
    print_evaluation(evaluation, Console(file=text, width=200))
    return text.getvalue(), json.loads(write_evaluation(folder / "all.json", evaluation).read_text())


def test_figures_agree_with_sklearn_and_torchmetrics(data: VOCDataModule, tmp_path: Path) -> None:
    true, pred = _flat(_truth(data), _noisy(data, tmp_path / "masks"))
    found = _evaluate(data, tmp_path / "masks")
    assert found.summary["miou"] == pytest.approx(sklearn.metrics.jaccard_score(true, pred, average="macro"))
    reference = MulticlassJaccardIndex(num_classes=6, average="macro")(torch.tensor(pred), torch.tensor(true))
    assert found.summary["miou"] == pytest.approx(float(reference), rel=1e-6)
    assert found.summary["pixel_accuracy"] == pytest.approx((true == pred).mean())
    assert found.summary["mean_accuracy"] == pytest.approx(sklearn.metrics.balanced_accuracy_score(true, pred))
    weighted = sklearn.metrics.jaccard_score(true, pred, average="weighted")
    assert found.summary["frequency_weighted_iou"] == pytest.approx(weighted)
    expected = sklearn.metrics.confusion_matrix(true, pred, labels=range(6))
    assert found.confusion.tolist() == expected.tolist()


def test_the_truth_itself_is_perfect_and_absent_labels_are_left_out(data: VOCDataModule) -> None:
    found = _evaluate(data, data.root / "SegmentationClass")
    assert found.summary == dict.fromkeys(found.summary, 1.0) and set(found.trimap) == {1.0}
    assert math.isnan(found.iou["cat"]) and found.counted == 5
    assert (found.threshold, found.curve, found.images) == (None, (), 4)
    assert found.notes == (
        "Scored on 6 of the data set's 21 labels: not comparable with figures on all of them.",
        "Mean over 5 of 6 labels; in neither truth nor prediction: cat.",
    )


def test_the_trimap_is_summed_over_images(data: VOCDataModule, tmp_path: Path) -> None:
    truth, pred = _truth(data), _noisy(data, tmp_path / "masks")
    found = _evaluate(data, tmp_path / "masks")
    for width in (1, 2, 7):
        accuracies = [trimap_accuracy(torch.tensor(pred[i]), torch.tensor(truth[i]), width) for i in truth]
        assert min(accuracies) < found.trimap[width - 1] < max(accuracies)
    assert len(found.trimap) == 40 and found.trimap[39] == pytest.approx(found.summary["pixel_accuracy"])


def test_the_sweep_agrees_with_one_evaluation_after_the_other(data: VOCDataModule, tmp_path: Path) -> None:
    truth, cams = _truth(data), _cams(data, tmp_path / "cams")
    found, scores = _evaluate(data, tmp_path / "cams"), []
    for threshold in SWEEP:
        padded = {i: np.pad(maps, ((1, 0), (0, 0), (0, 0)), constant_values=threshold) for i, (_, maps) in cams.items()}
        pred = {i: np.array([0, *cams[i][0]], np.uint8)[maps.argmax(axis=0)] for i, maps in padded.items()}
        scores.append(sklearn.metrics.jaccard_score(*_flat(truth, pred), average="macro"))
    assert [value for _, value in found.curve] == pytest.approx(scores)
    assert [threshold for threshold, _ in found.curve] == list(SWEEP)
    assert found.threshold == SWEEP[int(np.argmax(scores))]
    assert found.summary["miou"] == pytest.approx(max(scores)) and min(scores) < max(scores)


def test_a_given_threshold_gives_the_figures_that_the_sweep_has_there(data: VOCDataModule, tmp_path: Path) -> None:
    _cams(data, tmp_path / "cams")
    swept = _evaluate(data, tmp_path / "cams")
    given = _evaluate(data, tmp_path / "cams", threshold=swept.threshold)
    assert given.summary == swept.summary and given.trimap == swept.trimap and given.curve == ()
    other = _evaluate(data, tmp_path / "cams", threshold=0.1)
    assert other.summary["miou"] == dict(swept.curve)[0.1]
    assert "The background threshold 0.1 was given." in other.notes


def test_masks_have_no_threshold(data: VOCDataModule) -> None:
    with pytest.raises(InputError, match="holds index PNGs, which have no scores: leave --threshold away"):
        _evaluate(data, data.root / "SegmentationClass", threshold=0.2)


def test_the_notes_say_where_the_threshold_was_chosen_and_whose_tags_were_used(
    data: VOCDataModule, tmp_path: Path
) -> None:
    _cams(data, tmp_path / "cams")
    content: Any = {"keys": np.array([7, 1]), "high_res": np.zeros((2, 24, 32), np.float32)}  # cat and bicycle
    np.save(tmp_path / "cams" / f"{VAL[0]}.npy", content)
    notes = _evaluate(data, tmp_path / "cams").notes
    (chosen,) = [note for note in notes if "threshold" in note]
    assert "chosen on these very masks, the val split (list val), as the best of 60 from 0.00 to 0.59" in chosen
    assert "In 3 of 4 images the classes that have a map are the image's true tags (xml)." in notes
    assert "Maps of classes that are not among the labels took no part: 1." in notes


def test_a_best_threshold_at_the_end_of_the_sweep_is_said(data: VOCDataModule, tmp_path: Path) -> None:
    for image_id, truth in _truth(data).items():
        content: Any = {key: np.where(truth == key + 1, 0.9, 0.585) for key in (2, 0)}
        (tmp_path / "cams").mkdir(exist_ok=True)
        np.save(tmp_path / "cams" / f"{image_id}.npy", content)
    found = _evaluate(data, tmp_path / "cams")
    assert found.threshold == 0.59 and any("a higher one may be better" in note for note in found.notes)


def test_missing_images_are_named_and_end_it(data: VOCDataModule, tmp_path: Path) -> None:
    _noisy(data, tmp_path / "masks")
    for image_id in VAL[1:3]:
        (tmp_path / "masks" / f"{image_id}.png").unlink()
    message = (
        r"masks has no prediction of 2 of the 4 images of the val split \(list val\): 2007_000011, 2007_000012; add"
    )
    with pytest.raises(InputError, match=message):
        _evaluate(data, tmp_path / "masks")


def test_what_is_partial_and_what_is_unused_stands_in_every_output(data: VOCDataModule, tmp_path: Path) -> None:
    masks = _noisy(data, tmp_path / "masks")
    (tmp_path / "masks" / f"{VAL[0]}.png").rename(tmp_path / "masks" / "other.png")
    found = _evaluate(data, tmp_path / "masks", partial_ok=True)
    truth = {image_id: mask for image_id, mask in _truth(data).items() if image_id != VAL[0]}
    expected = sklearn.metrics.jaccard_score(*_flat(truth, masks), average="macro")
    assert found.summary["miou"] == pytest.approx(expected) and found.images == 3
    said = [
        f"Partial: 3 of 4 images are scored; without a prediction: {VAL[0]}.",
        "Files that belong to no image of the list are not used, 1 in all: other.png.",
    ]
    text, content = _outputs(found, tmp_path)
    assert all(sentence in text and sentence in content["notes"] for sentence in said)
    assert (content["missing"], content["unused_files"]) == ([VAL[0]], ["other.png"])


def test_text_and_json_say_the_same(data: VOCDataModule, tmp_path: Path) -> None:
    _cams(data, tmp_path / "cams")
    found = _evaluate(data, tmp_path / "cams")
    text, content = _outputs(found, tmp_path)
    lines = [line.replace("│", "").split() for line in text.splitlines()]
    assert ["mean", "IoU", f"{100 * content['miou']:.2f}"] in lines
    assert ["boat", f"{100 * content['iou']['boat']:.2f}"] in [line[:2] for line in lines]
    assert ["1", f"{100 * content['trimap_accuracy']['1']:.2f}"] in [line[:2] for line in lines]
    best = f"{content['threshold']:.2f}"
    assert [best, "best", f"{100 * content['miou_by_threshold'][best]:.2f}"] in lines
    assert content["iou"]["cat"] is None and ["cat", "-", "-"] in [line[:3] for line in lines]
    assert content["confusion"] == found.confusion.tolist() and content["labels"] == ["background", *CLASSES]


def test_nothing_counted_is_said_and_not_a_crash(data: VOCDataModule, tmp_path: Path) -> None:
    for record in data.records("val"):
        assert record.mask is not None
        write_mask(record.mask, np.full_like(read_mask(record.mask), 255))
    found = _evaluate(data, data.root / "SegmentationClass")
    text, content = _outputs(found, tmp_path)
    assert content["miou"] is None and content["labels_in_miou"] == 0 and "mean IoU" in text
    assert [path.name for path in write_plots(found, tmp_path / "plots")] == ["iou.png", "confusion.png", "trimap.png"]


@pytest.mark.parametrize("kind", ["masks", "CAMs"])
def test_a_truth_of_0_and_255_alone_is_no_truth(data: VOCDataModule, tmp_path: Path, kind: str) -> None:
    """Of two classes 0 and 255, the second as ignored: whatever is predicted there would score 100."""
    _cams(data, tmp_path / "cams")
    for record in data.records("val"):
        assert record.mask is not None
        write_mask(record.mask, np.where(read_mask(record.mask) > 0, 255, 0).astype(np.uint8))
        write_mask(tmp_path / "masks" / f"{record.image_id}.png", np.zeros_like(read_mask(record.mask)))
    with pytest.raises(InputError, match=r"the val split \(list val\) have no pixel of any class.*not 255"):
        _evaluate(data, tmp_path / kind.lower())


def test_a_single_truth_without_a_class_is_scored_and_told(data: VOCDataModule, tmp_path: Path) -> None:
    """It may show what is too difficult to be outlined, or be 0 and 255 by mistake."""
    data.records("val")[1:] = []
    (record,) = data.records("val")
    assert record.mask is not None
    write_mask(record.mask, np.where(read_mask(record.mask) > 0, 255, 0).astype(np.uint8))
    write_mask(tmp_path / "masks" / f"{record.image_id}.png", np.zeros_like(read_mask(record.mask)))
    ignored = int((read_mask(record.mask) == 255).sum())
    assert f"background alone is scored, and {ignored:,} pixels of 255" in _evaluate(data, tmp_path / "masks").notes[-1]


def test_plots_are_pictures_and_a_sweep_has_one_of_its_thresholds(data: VOCDataModule, tmp_path: Path) -> None:
    _cams(data, tmp_path / "cams")
    paths = write_plots(_evaluate(data, tmp_path / "cams"), tmp_path / "plots")
    assert [path.stem for path in paths] == ["iou", "confusion", "trimap", "thresholds"]
    assert sorted((tmp_path / "plots").iterdir()) == sorted(paths)
    assert all(min(read_image(path).shape[:2]) > 300 and read_image(path).std() > 0 for path in paths)


def _sent_away(function: Callable[[Any], Any], items: Sequence[Any], **_: Any) -> Iterator[Any]:
    """What other processes get and return, the last first."""
    for item in reversed(items):
        sent: tuple[Callable[[Any], Any], Any] = pickle.loads(pickle.dumps((function, item)))
        yield pickle.loads(pickle.dumps(sent[0](sent[1])))


def test_in_which_parts_and_order_images_are_scored_changes_nothing(
    data: VOCDataModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _cams(data, tmp_path / "cams")
    expected = _evaluate(data, tmp_path / "cams").as_json()
    monkeypatch.setattr("wsss_lightning.scoring.comparison.in_parallel", _sent_away)
    monkeypatch.setattr("wsss_lightning.scoring.comparison._PART", 3)
    assert _evaluate(data, tmp_path / "cams").as_json() == expected
