from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from wsss_lightning.data.labels import LabelMap
from wsss_lightning.data.voc import VOC_CLASSES
from wsss_lightning.errors import InputError
from wsss_lightning.scoring.cams import empty_maps, read_cam_file, read_cam_maps, write_cam_file

SIZE = (6, 8)
VOC = LabelMap(VOC_CLASSES, VOC_CLASSES)
THRESHOLD = 5 / 16


def _maps(*, count: int) -> NDArray[np.float32]:
    """Sixteenths, which half precision holds and which tie with each other and with the threshold."""
    return np.random.default_rng(count).integers(0, 17, (count, *SIZE)).astype(np.float32) / 16


def _save(folder: Path, content: Any) -> Path:
    np.save(folder / "a.npy", content)
    return folder / "a.npy"


def _forms(keys: list[int], maps: NDArray[np.float32]) -> dict[str, Any]:
    """One image's CAMs as various repositories write them; `keys` count from 0."""
    padded = [0, *(key + 1 for key in keys)]
    constant = np.pad(maps, ((1, 0), (0, 0), (0, 0)), constant_values=0.15)
    cam = torch.zeros(len(keys), 2, 2)
    return {
        "irnet": {"keys": torch.tensor(keys), "cam": cam, "high_res": maps},
        "keys padded": {"keys": np.array(padded), "high_res": maps},
        "both padded": {"keys": np.array(padded), "high_res": constant},
        "full size cam": {"keys": np.array(keys), "cam": torch.from_numpy(maps)},
        "half precision": {"keys": np.array(keys), "high_res": maps.astype(np.float16)},
        "clip-es": {"keys": np.array(keys), "highres": 0 * maps, "attn_highres": maps},
        "seam": dict(zip(keys, maps, strict=True)),
        "seam, names of digits": {str(key): each for key, each in zip(keys, maps, strict=True)},
        "keys in a column": {"keys": torch.tensor(keys)[:, None], "high_res": maps},
        "no high_res": {"keys": np.array(keys, np.float32), "cam": maps, "high_res": None},
    }


@pytest.mark.parametrize("keys", [[3, 14], [0, 19], [7]])
@pytest.mark.parametrize("form", _forms([1], _maps(count=1)))
def test_every_form_gives_the_labels_of_irnets_evaluation(tmp_path: Path, form: str, keys: list[int]) -> None:
    maps = _maps(count=len(keys))
    found = read_cam_file(_save(tmp_path, _forms(keys, maps)[form]), labels=VOC, size=SIZE)
    background = np.full((1, *SIZE), THRESHOLD, np.float32)
    expected = np.array([0, *(key + 1 for key in keys)])[np.concatenate([background, maps]).argmax(axis=0)]
    labels = np.where(found.scores > THRESHOLD, found.winners, 0)
    assert np.array_equal(labels, expected)
    assert found.classes == {key + 1 for key in keys} and found.left_out == 0


def test_a_small_cam_is_resized(tmp_path: Path) -> None:
    cam = torch.tensor([[[0.0, 1.0]], [[0.5, 0.5]]])
    found = read_cam_file(_save(tmp_path, {"keys": np.array([0, 1]), "cam": cam}), labels=VOC, size=(2, 4))
    assert found.winners.tolist() == [[2, 2, 1, 1]] * 2
    assert found.scores[0].tolist() == [0.5, 0.5, 0.75, 1.0]


@pytest.mark.parametrize("content", [{}, {"keys": np.array([], np.int64), "high_res": np.zeros((0, *SIZE))}])
def test_an_image_without_a_map_is_background(tmp_path: Path, content: Any) -> None:
    found = read_cam_file(_save(tmp_path, content), labels=VOC, size=SIZE)
    assert found.winners.shape == SIZE and not found.winners.any() and not found.scores.any()
    assert found.classes == frozenset()


def test_only_kept_classes_compete(tmp_path: Path) -> None:
    labels = LabelMap(VOC_CLASSES, ("cat", "dog"))  # keys 7 and 11
    maps = np.stack([np.full(SIZE, value, np.float32) for value in (0.9, 0.4, 0.2)])
    content: Any = {"keys": np.array([6, 7, 11]), "high_res": maps}
    found = read_cam_file(_save(tmp_path, content), labels=labels, size=SIZE)
    assert (found.winners == 1).all() and (found.scores == np.float32(0.4)).all()
    assert (found.classes, found.left_out) == ({1, 2}, 1)
    others = read_cam_file(_save(tmp_path, {6: maps[0]}), labels=labels, size=SIZE)
    assert not others.winners.any() and others.left_out == 1


NOT_ONE = np.full((1, *SIZE), 0.5)
FAULTS: dict[str, tuple[Any, str]] = {
    "a class too many": ({20: NOT_ONE[0]}, "class 20, counted from 0, but there are 20"),
    "a negative class": ({-1: NOT_ONE[0]}, "class -1"),
    "another size": ({3: NOT_ONE[0, 1:]}, r"size \(5, 8\)"),
    "not normalised": ({3: 255 * NOT_ONE[0]}, r"not within 0\.\.1: divide"),
    "negative": ({3: -NOT_ONE[0]}, r"not within 0\.\.1"),
    "not a number": ({3: np.nan * NOT_ONE[0]}, r"nan in the map of class 3, not scores within 0\.\.1: leave"),
    "infinite": ({3: np.inf * NOT_ONE[0]}, r"not within 0\.\.1"),
    "a huge class": ({10**30: NOT_ONE[0]}, "the class 1000000000.*, which is no number"),
    "half a class": ({1.7: NOT_ONE[0]}, r"the class 1\.7, which is no number"),
    "a class that is nan": ({float("nan"): NOT_ONE[0]}, "the class nan"),
    "a class that is a truth value": ({True: NOT_ONE[0]}, "the class True"),
    "a class of another type": ({(1, 2): NOT_ONE[0]}, r"the class \(1, 2\)"),
    "a class twice": ({"keys": np.array([3, 3]), "high_res": np.repeat(NOT_ONE, 2, 0)}, "names the class 3 twice"),
    "keys that are a number": ({"keys": 3, "high_res": NOT_ONE}, "keys that are a int"),
    "keys that are nothing": ({"keys": None, "high_res": NOT_ONE}, "keys that are a NoneType"),
    "an empty map": ({3: np.zeros((0, 0))}, r"maps of shape \(1, 0, 0\)"),
    "an empty cam": ({"keys": np.array([3]), "cam": np.zeros((1, 0, 4))}, r"maps of shape \(1, 0, 4\)"),
    "channels last": ({"keys": np.array([3]), "high_res": NOT_ONE.transpose(1, 2, 0)}, r"shape \(6, 8, 1\) for 1"),
    "another name": ({"keys": np.array([3]), "attention": NOT_ONE}, "a dictionary of keys, attention, no high"),
    "complex": ({3: NOT_ONE[0] * 1j}, "maps of complex128 values"),
    "text": ({3: "abc"}, "maps of <U3 values"),
    "probabilities": ({0: 0.7 * NOT_ONE[0] + 0.15, 4: 0.5 - 0.7 * NOT_ONE[0] + 0.35}, "sum to 1, 0 for the background"),
    "sizes that differ": ({3: NOT_ONE[0], 4: NOT_ONE[0, 1:]}, r"the shapes \(6, 8\), \(5, 8\), neither IRNet's .* nor"),
    "more maps than keys": ({"keys": np.array([3]), "high_res": np.repeat(NOT_ONE, 2, 0)}, "neither"),
    "no maps": ({"keys": np.array([3])}, "neither"),
    "flat maps": ({3: np.zeros(48)}, "neither"),
    "names": ({"cat": NOT_ONE[0]}, "neither"),
    "an array": (NOT_ONE, "neither"),
    "a text": (np.array("keys", dtype=object), "neither"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_at_fault_is_named(tmp_path: Path, fault: str) -> None:
    content, message = FAULTS[fault]
    with pytest.raises(InputError, match=rf"a\.npy .*{message}"):
        read_cam_file(_save(tmp_path, content), labels=VOC, size=SIZE)


def test_what_is_written_is_read_as_irnets(tmp_path: Path) -> None:
    path, maps = tmp_path / "a.npy", _maps(count=3)
    maps[1] = 0
    write_cam_file(path, classes=np.array([0, 7, 14]), maps=maps)
    labels, read = read_cam_maps(path, labels=VOC, size=SIZE)
    assert labels.tolist() == [1, 8, 15] and np.array_equal(read, maps)
    prediction = read_cam_file(path, labels=VOC, size=SIZE)
    assert np.array_equal(prediction.scores, maps.max(axis=0)) and prediction.classes == {1, 8, 15}
    assert empty_maps(path) == (1, 3)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.npy"]


def test_an_image_without_tags_has_no_map(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    write_cam_file(path, classes=np.zeros(0, np.int64), maps=np.zeros((0, *SIZE), np.float32))
    assert read_cam_file(path, labels=VOC, size=SIZE).classes == frozenset()
    assert empty_maps(path) == (0, 0)
