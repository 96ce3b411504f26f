from pathlib import Path

import numpy as np
import pytest
from fake_collection import write_collection

from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.methods.coseg.stages.segment_alone import segment_by_grabcut, segment_by_saliency


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
