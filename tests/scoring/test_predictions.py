from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsss_lightning.data.labels import LabelMap
from wsss_lightning.data.masks import colorize, write_mask
from wsss_lightning.errors import InputError
from wsss_lightning.scoring.predictions import PredictionKind, find_predictions, read_labels

LABELS = LabelMap(("bird", "cat", "cow"), ("cow", "bird"))
TRUTH = np.array([[0, 1, 2], [255, 255, 255]], np.uint8)
IDS = ("a", "b", "c")


def _touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def _mask(folder: Path, *rows: list[int]) -> Path:
    write_mask(folder / "a.png", np.array(rows, np.uint8))
    return folder / "a.png"


@pytest.mark.parametrize("kind", PredictionKind)
def test_files_are_sorted_by_what_the_list_asks_for(tmp_path: Path, kind: PredictionKind) -> None:
    _touch(tmp_path, ".writing-1/b.png", f".b.7{kind}")  # of a process that was killed while it wrote
    found = find_predictions(_touch(tmp_path, f"c{kind}", f"a{kind}", f"d{kind}", "b.txt", "x/b.png"), IDS)
    assert (found.kind, found.predicted, found.missing) == (kind, ("a", "c"), ("b",))
    assert found.unused == ("b.txt", f"d{kind}", "x/b.png")


def test_files_of_another_kind_are_unused_unless_they_are_predictions_too(tmp_path: Path) -> None:
    _touch(tmp_path, "a.png", "z.npy")
    assert find_predictions(tmp_path, IDS).unused == ("z.npy",)
    _touch(tmp_path, "b.npy")
    with pytest.raises(InputError, match=r"both masks \(\.png\) and CAMs \(\.npy\)"):
        find_predictions(tmp_path, IDS)


def test_a_folder_without_any_prediction_says_what_it_holds_instead(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no a\.png, a\.npy or the like: give"):
        find_predictions(tmp_path, IDS)
    with pytest.raises(InputError, match=r"or the like, but masks/a\.png: give"):
        find_predictions(_touch(tmp_path, "masks/a.png"), IDS)
    with pytest.raises(InputError, match="is no folder"):
        find_predictions(tmp_path / "none", IDS)


def test_own_indices_become_labels_with_a_score_above_any_threshold(tmp_path: Path) -> None:
    found = read_labels(_mask(tmp_path, [0, 3, 1], [3, 3, 0]), labels=LABELS, target=TRUTH)
    assert found.winners.tolist() == [[0, 1, 2], [1, 1, 0]]
    assert (found.scores == 1).all() and found.classes is None


def test_anything_known_may_be_predicted_where_the_truth_is_ignored(tmp_path: Path) -> None:
    found = read_labels(_mask(tmp_path, [0, 0, 0], [255, 2, 1]), labels=LABELS, target=TRUTH)
    assert found.winners.tolist() == [[0, 0, 0], [255, 255, 2]]


@pytest.mark.parametrize(
    "rows, message",
    [
        (([0, 255, 0], [0, 0, 0]), r"a\.png holds 255 \(ignore\) where the truth has a label: predict"),
        (([2, 0, 255], [0, 0, 0]), r"a\.png holds 255"),
        (([2, 0, 0], [0, 0, 0]), r"a\.png predicts cat, which data\.classes leaves out"),
        (([0, 0, 0], [0, 0, 77]), r"a\.png holds index 77"),
        (([0, 0], [0, 0]), r"a\.png has size \(2, 2\) \(H, W\), its image \(2, 3\): predict at"),
    ],
)
def test_what_would_be_a_free_or_a_meaningless_answer_is_refused(
    tmp_path: Path, rows: tuple[list[int], ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_labels(_mask(tmp_path, *rows), labels=LABELS, target=TRUTH)


def test_colours_are_refused(tmp_path: Path) -> None:
    Image.fromarray(colorize(TRUTH)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png holds colours \(RGB\)"):
        read_labels(tmp_path / "a.png", labels=LABELS, target=TRUTH)
