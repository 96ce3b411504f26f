from pathlib import Path

import numpy as np
import pytest
from fake_collection import picture, write_collection

from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.methods.coseg.stages.segment_alone import grabcut, segment_by_grabcut, segment_by_saliency


def test_grabcut_finds_the_thing_in_the_middle_and_nothing_outside_the_box() -> None:
    image, truth = picture(1, stripes=True)
    found = grabcut(image, margin=0.1, rounds=3)
    assert (found & truth).sum() / (found | truth).sum() > 0.8
    assert not found[:9].any() and not found[:, :12].any()
    np.testing.assert_array_equal(found, grabcut(image, margin=0.1, rounds=3))


@pytest.mark.parametrize("method", ["grabcut", "saliency"])
def test_both_write_the_layout_of_a_cosegmentation(tmp_path: Path, method: str) -> None:
    root = write_collection(tmp_path / "data", per_class=2)
    source = VOCDataModule(root=root, names=("egg", "brick"), train_list="train", tags="npy")
    shared = {"out_dir": str(tmp_path / "out"), "source": source, "side": 64, "kept": (0.0, 1.0)}
    if method == "grabcut":
        counts = segment_by_grabcut(**shared, margin=0.1, rounds=2, workers=1, progress=False)  # type: ignore[arg-type]
    else:
        counts = segment_by_saliency(**shared, workers=1, progress=False)  # type: ignore[arg-type]
    assert counts["images"] == 4
    assert len(list((tmp_path / "out" / "found").iterdir())) == 4
    mask = read_mask(tmp_path / "out" / "found" / "000001.png")
    assert mask.shape == (96, 128) and set(np.unique(mask)) <= {0, 2}
    assert (tmp_path / "out" / "kept.csv").exists()
