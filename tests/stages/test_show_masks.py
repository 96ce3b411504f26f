import json
from pathlib import Path

import numpy as np
from fake_segmenter import open_voc

from wsss_lightning.data.images import read_image
from wsss_lightning.data.masks import colorize, write_mask
from wsss_lightning.stages.show_masks import show_masks


def test_masks_of_one_image_stand_side_by_side(tmp_path: Path) -> None:
    """Of three images the last has no saliency; of the others saliency keeps one and co-segmentation both."""
    data = open_voc(tmp_path / "voc")
    records = data.records("train")
    mask = np.zeros((24, 32), np.uint8)
    mask[:, 4:9] = 3
    for place, shown in {
        "saliency/found": records[:2],
        "saliency/masks": records[:1],
        "cosegmentation/found": records,
        "cosegmentation/masks": records,
    }.items():
        for record in shown:
            write_mask(tmp_path / place / f"{record.image_id}.png", mask)
    found = {name: str(tmp_path / name) for name in ("saliency", "cosegmentation")}
    metrics = show_masks(out_dir=str(tmp_path / "out"), source=data, masks=found, panels=5)
    assert metrics == {"train/kept/saliency": 1 / 2, "train/kept/cosegmentation": 1}
    panels = {path.name: {p.stem for p in path.iterdir()} for path in (tmp_path / "out" / "panels").iterdir()}
    names = {"image", "saliency", "cosegmentation"}
    assert panels == {record.image_id: names for record in records[:2]}
    panel = tmp_path / "out" / "panels" / records[0].image_id
    assert np.array_equal(read_image(panel / "saliency.png"), colorize(mask))
    assert np.array_equal(read_image(panel / "image.png"), read_image(records[0].image))
    assert json.loads((tmp_path / "out" / "classes.json").read_text())["names"][:2] == ["background", "aeroplane"]
