"""Which masks count as opened: those that a data set calls its own, whatever path leads to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from wsss_lightning.opened import note_masks, note_truth, recorded
from wsss_lightning.parallel import in_parallel


@pytest.fixture
def masks(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "truth" / f"{number}.png" for number in range(4)]
    paths[0].parent.mkdir()
    for path in paths:
        path.write_bytes(b"")
    return paths


def test_only_what_is_opened_counts_and_once(masks: list[Path]) -> None:
    with recorded() as opened:
        note_truth("train", masks[:3])
        note_truth("val", masks[2:])
        note_masks([masks[0], masks[2]])
        note_masks([masks[2], masks[0].with_name("gone.png"), masks[0].parents[1]])
    assert opened.ground_truth() == {"train": 2, "val": 1}


def test_masks_that_are_no_data_sets_own_do_not_count(masks: list[Path]) -> None:
    with recorded() as opened:
        note_truth("train", [masks[0], masks[0].with_name("missing.png")])
        note_masks([masks[1], masks[0].with_name("missing.png")])
    assert opened.ground_truth() == {}


def test_a_link_to_a_mask_is_that_mask(masks: list[Path], tmp_path: Path) -> None:
    (tmp_path / "pseudo").symlink_to(masks[0].parent)
    (tmp_path / "hard.png").hardlink_to(masks[1])
    with recorded() as opened:
        note_masks([tmp_path / "pseudo" / masks[0].name, tmp_path / "hard.png"])
        note_truth("train", masks)
    assert opened.ground_truth() == {"train": 2}


@pytest.mark.parametrize(("own", "count"), [(0, 3), (1, 2), (2, 0)])
def test_a_folder_of_which_most_are_copies_is_one_of_the_truth(masks: list[Path], own: int, count: int) -> None:
    for path in masks:
        path.write_bytes(path.name.encode())
    copy = masks[0].parents[1] / "pseudo" / "masks"
    copy.mkdir(parents=True)
    for number, path in enumerate(masks[:3]):
        (copy / path.name).write_bytes(path.read_bytes() if number >= own else b"none")
    with recorded() as opened:
        note_truth("train", masks)
        note_masks(copy / path.name for path in masks[:3])
    assert opened.ground_truth() == ({"train": count} if count else {})


def test_an_outer_block_holds_what_the_inner_one_does(masks: list[Path]) -> None:
    with recorded() as outer:
        note_truth("train", masks)
        with recorded() as inner:
            note_masks(masks[:2])
    assert (outer.ground_truth(), inner.ground_truth()) == ({"train": 2}, {})
    note_masks(masks)  # outside of all blocks nothing is kept
    assert outer.ground_truth() == {"train": 2}


def _open(path: Path) -> str:
    note_masks([path])
    return path.name


@pytest.mark.parametrize("processes", [1, 2])
def test_what_workers_open_counts(masks: list[Path], processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsss_lightning.parallel.START_UP", 0.0)
    with recorded() as opened:
        note_truth("val", masks)
        names = list(in_parallel(_open, masks[1:], processes=processes, description="masks", progress=False))
    assert sorted(names) == ["1.png", "2.png", "3.png"]
    assert opened.ground_truth() == {"val": 3}
