from pathlib import Path

import numpy as np
import pytest
from fake_collection import write_collection

from wsss_lightning.data.base import Record
from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.methods.coseg.stages.cosegmentation import single_tag_records
from wsss_lightning.methods.coseg.stages.kept_masks import judge_share, keep_masks, read_kept

NAMES = ("dog", "egg", "brick")


@pytest.mark.parametrize(
    ("share", "outcome"), [(0, "empty"), (0.1999, "small"), (0.2, "kept"), (0.8, "kept"), (0.81, "large"), (1, "large")]
)
def test_outcomes(share: float, outcome: str) -> None:
    assert judge_share(share, (0.2, 0.8)) == outcome


def test_masks_have_the_images_size_and_the_data_sets_index(tmp_path: Path) -> None:
    root = write_collection(tmp_path / "data", per_class=2)
    np.save(root / "cls_labels.npy", {number: np.eye(3)[1 + number % 2] for number in range(5)}, allow_pickle=True)  # type: ignore[arg-type]
    source = VOCDataModule(root=root, names=NAMES, classes=["brick", "egg"], train_list="train", tags="npy")
    widths = {"000000": 0, "000001": 1, "000002": 2, "000003": 4, "000004": 2}

    def mask(record: Record) -> np.ndarray:
        found = np.zeros((3, 4), bool)
        found[:, : widths[record.image_id]] = True
        return found

    counts = keep_masks(tmp_path / "out", source, single_tag_records(source), mask, kept=(0.3, 0.8))
    assert counts["images"] == 5 and counts["kept"] == 2
    assert (counts["kept/egg"], counts["empty/egg"], counts["small/brick"], counts["large/brick"]) == (2, 1, 1, 1)
    kept = read_mask(tmp_path / "out" / "masks" / "000002.png")
    expected = np.zeros((96, 128), np.uint8)
    expected[:, :64] = 2  # egg is the second of the data set's names
    np.testing.assert_array_equal(kept, expected)
    assert {path.stem for path in (tmp_path / "out" / "masks").iterdir()} == {"000002", "000004"}
    assert len(list((tmp_path / "out" / "found").iterdir())) == 5
    assert ("000001", "brick", 0.25, "small") in read_kept(tmp_path / "out")
