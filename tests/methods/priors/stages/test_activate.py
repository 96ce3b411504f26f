import shutil
from pathlib import Path

import pytest
import torch
from fake_segmenter import TRAINER, backbone, open_voc

from wsss_lightning.data.images import read_image
from wsss_lightning.data.samples import Normalisation
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.methods.priors.activations import fusion_maps
from wsss_lightning.methods.priors.priors import fuse
from wsss_lightning.methods.priors.stages.activate import activate, read_fusion


@pytest.fixture
def data(tmp_path: Path) -> VOCDataModule:
    return open_voc(tmp_path / "voc")


def run(out_dir: Path, data: VOCDataModule, *, split: str = "train", convolution: int = -1) -> None:
    activate(
        out_dir=str(out_dir),
        data=data,
        backbone=backbone(),
        convolution=convolution,
        split=split,
        trainer=TRAINER,
        workers=0,
        progress=False,
    )


@pytest.mark.parametrize("convolution", [-1, 0])
def test_the_stored_means_give_the_fusion_of_whole_maps(tmp_path: Path, data: VOCDataModule, convolution: int) -> None:
    shutil.rmtree(tmp_path / "voc" / "SegmentationClass")  # and neither tags nor masks are asked for
    run(tmp_path / "out", data, convolution=convolution)
    for record in data.records("train"):
        image = Normalisation(data.mean, data.std)(read_image(record.image))[None]
        expected = fuse(*fusion_maps(backbone(), image, convolution=convolution), (24, 32))[0]
        torch.testing.assert_close(read_fusion(tmp_path / "out", record.image_id, (24, 32)), expected)
    assert expected.max() == 1 and expected.min() == 0


def test_only_what_is_missing_is_computed(tmp_path: Path, data: VOCDataModule) -> None:
    run(tmp_path / "out", data)
    first, *others = sorted((tmp_path / "out" / "fusion").iterdir())
    whole = first.read_bytes()
    first.unlink()
    for path in others:
        path.write_bytes(b"kept")
    run(tmp_path / "out", data)
    assert first.read_bytes() == whole
    assert all(path.read_bytes() == b"kept" for path in others)


def test_the_split_is_the_one_asked_for(tmp_path: Path, data: VOCDataModule) -> None:
    run(tmp_path / "out", data, split="val")
    names = {path.stem for path in (tmp_path / "out" / "fusion").iterdir()}
    assert names == {record.image_id for record in data.records("val")}


def test_images_normalised_for_other_weights(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the weights expect"):
        run(tmp_path / "out", open_voc(tmp_path / "voc", mean=(0.1, 0.1, 0.1)))
