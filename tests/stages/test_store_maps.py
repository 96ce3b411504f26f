from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from fake_segmenter import backbone, open_voc
from PIL import Image

from wsss_lightning.data.stored_maps import StoredMaps
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.nn.trunk import Trunk, Variant
from wsss_lightning.stages.store_maps import MapsModule, store_maps

LAYERS = {"shallow": [1.0], "deep": [0.5, 1.0, 2.0]}


def store(folder: Path, data: VOCDataModule, **settings: Any) -> dict[str, float]:
    defaults: dict[str, Any] = {
        "backbone": backbone(),
        "split": "train",
        "stride": 8,
        "layers": LAYERS,
        "mirror": True,
        "trainer": partial(pl.Trainer, accelerator="cpu", devices=1),
        "workers": 0,
        "progress": False,
    }
    return store_maps(out_dir=str(folder), data=data, **{**defaults, **settings})


@pytest.mark.parametrize("size", [None, (48, 64), 40])
def test_stored_maps_are_those_of_the_image_and_of_its_mirror_image(
    tmp_path: Path, size: tuple[int, int] | int | None
) -> None:
    data = open_voc(tmp_path / "voc", size=size, batch_size=2)
    upright = data.records("train")[1].image  # beside others that lie: no batch of both at a shorter side
    Image.new("RGB", (24, 40)).save(upright)
    store(tmp_path / "maps", data)
    trunk, maps = Trunk(backbone(), stride=8), StoredMaps(tmp_path / "maps")
    for sample in data.dataset("train"):  # type: ignore[attr-defined]
        for scale in LAYERS["deep"]:
            for mirrored in (False, True):
                image = sample["image"][None].flip(-1) if mirrored else sample["image"][None]
                shallow, deep = trunk.look(image, Variant(scale))  # the image augmented, not the maps
                name = Variant(scale, mirrored).name
                read = maps.read(sample["image_id"], [f"{name}/deep", f"{name}/pooled"])
                torch.testing.assert_close(read[f"{name}/deep"].float(), deep[0], atol=2e-3, rtol=2e-3)
                torch.testing.assert_close(read[f"{name}/pooled"], deep[0].mean(dim=(1, 2)), atol=1e-4, rtol=1e-4)
                if scale == 1.0:
                    (kept,) = maps.read(sample["image_id"], [f"{name}/shallow"]).values()
                    torch.testing.assert_close(kept.float(), shallow[0], atol=2e-3, rtol=2e-3)


def test_only_the_layers_and_scales_that_are_asked_for_are_kept(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc")
    store(tmp_path / "maps", data, mirror=False)
    with pytest.raises(InputError, match="does not hold 2/shallow"):
        StoredMaps(tmp_path / "maps").read("2007_000001", ["2/shallow"])
    with pytest.raises(InputError, match="does not hold 1-mirrored/deep"):
        StoredMaps(tmp_path / "maps").read("2007_000001", ["1-mirrored/deep"])


def test_what_is_there_is_not_computed_again_and_gives_the_same_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, seen = open_voc(tmp_path / "voc"), []
    whole = store(tmp_path / "maps", data)
    (tmp_path / "maps" / "2007_000002.safetensors").unlink()
    step = MapsModule.predict_step

    def counting(self: MapsModule, batch: dict[str, Any], index: int) -> Any:
        seen.extend(batch["image_id"])
        return step(self, batch, index)

    monkeypatch.setattr(MapsModule, "predict_step", counting)
    assert store(tmp_path / "maps", data) == whole
    assert seen == ["2007_000002"]
    written = sum(path.stat().st_size for path in (tmp_path / "maps").iterdir())
    assert whole["gigabytes"] == pytest.approx(written / 1e9)


def test_the_bytes_are_said_before_it_starts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = open_voc(tmp_path / "voc", size=(64, 96))
    with caplog.at_level("INFO"):
        store(tmp_path / "maps", data, layers={"deep": [1.0]}, mirror=True)
    # images are 24 x 32 px on disk: 2 x 2 periods of two cells each, 96 channels, 2 bytes, twice
    assert "maps of train: at most 0.01 MB an image" in caplog.text


def test_images_normalised_for_another_backbone_are_refused(tmp_path: Path) -> None:
    data = open_voc(tmp_path / "voc", mean=(0.1, 0.1, 0.1))
    with pytest.raises(InputError, match="normalised with mean"):
        store(tmp_path / "maps", data)
