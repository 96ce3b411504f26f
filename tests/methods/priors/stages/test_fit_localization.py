import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_segmenter import TRAINER, backbone, open_voc

from wsss_lightning.data.images import read_image
from wsss_lightning.data.samples import Normalisation, resize_image
from wsss_lightning.data.transforms import priors_augmentation
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.methods.priors.localization_network import localization_vgg
from wsss_lightning.methods.priors.priors import class_activation_maps
from wsss_lightning.methods.priors.stages.class_activations import class_activations, read_class_activations
from wsss_lightning.methods.priors.stages.fit_localization import fit_localization
from wsss_lightning.models import load, read_inputs
from wsss_lightning.nn.tag_losses import sigmoid_cross_entropy
from wsss_lightning.nn.vgg import TINY_STD
from wsss_lightning.ops.resize import resize_maps
from wsss_lightning.stages.io import read_tensors

NETWORK = partial(localization_vgg, kernel=3, hidden=8)
SIZE = (64, 48)


def train(out_dir: Path, data: VOCDataModule, **settings: Any) -> dict[str, float]:
    defaults: dict[str, Any] = {
        "backbone": backbone(),
        "network": NETWORK,
        "loss": sigmoid_cross_entropy,
        "size": SIZE,
        "augmentation": priors_augmentation(SIZE, frame=(72, 54)),
        "batch_size": 2,
        "rates": [1e-2, 1e-3],
        "steps": [4, 3],
        "seed": 0,
        "trainer": TRAINER,
        "loggers": {},
        "workers": 0,
        "checkpoint_every": 2,
        "progress": False,
    }
    return fit_localization(out_dir=str(out_dir), data=data, **{**defaults, **settings})


def localize(out_dir: Path, data: VOCDataModule, trained: Path, *, split: str = "train") -> None:
    class_activations(
        out_dir=str(out_dir),
        data=data,
        model=str(trained),
        split=split,
        trainer=TRAINER,
        workers=0,
        progress=False,
    )


@pytest.fixture(scope="module")
def voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set without ground truth: whatever runs on it has used tags alone."""
    root = tmp_path_factory.mktemp("data") / "voc"
    open_voc(root)
    shutil.rmtree(root / "SegmentationClass")
    shutil.rmtree(root / "SegmentationClassAug")
    return root


@pytest.fixture(scope="module")
def trained(voc: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    metrics = train(folder, open_voc(voc))
    assert {"train/loss", "val/tag_ap", "val/tag_accuracy"} <= metrics.keys()
    return folder


def test_a_run_from_its_last_checkpoint_ends_in_the_same_weights(voc: Path, trained: Path, tmp_path: Path) -> None:
    train(tmp_path, open_voc(voc), steps=[3, 0])  # ends half-way and leaves its checkpoint of step 2
    train(tmp_path, open_voc(voc))
    ours, theirs = (read_tensors(folder / "model.safetensors") for folder in (tmp_path, trained))
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


def test_all_weights_have_moved_and_are_loaded(trained: Path) -> None:
    before = NETWORK(backbone(), num_classes=20, generator=torch.Generator().manual_seed(0)).state_dict()
    model = load(trained)
    assert not any(parameter.requires_grad for parameter in model.parameters()) and not model.training
    state = model.network.state_dict()
    assert state.keys() == before.keys()
    assert not any(torch.equal(value, before[name]) for name, value in state.items())
    inputs = read_inputs(trained)
    assert inputs.size == [*SIZE] and inputs.indices == list(range(21)) and inputs.palette[1] == [128, 0, 0]


def test_data_with_other_classes_or_statistics(voc: Path, trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"trained with class_names=.* but the data has"):
        localize(tmp_path, open_voc(voc, classes=["cat", "dog"]), trained)
    with pytest.raises(InputError, match="trained with std="):
        localize(tmp_path, open_voc(voc, std=(0.1, 0.2, 0.3)), trained)


def test_statistics_of_other_weights(voc: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the weights expect"):
        train(tmp_path, open_voc(voc, mean=(0.1, 0.2, 0.3), std=TINY_STD))


@pytest.mark.parametrize("split", ["train", "val"])
def test_maps_of_the_tagged_classes(voc: Path, trained: Path, tmp_path: Path, split: str) -> None:
    data = open_voc(voc)
    localize(tmp_path, data, trained, split=split)
    network, normalise = load(trained).network, Normalisation(data.mean, data.std)
    for record in data.records(split):
        image = normalise(resize_image(read_image(record.image), SIZE))[None]  # whole
        everything = class_activation_maps(network.features(image), network.weights)[0]
        stored = read_tensors(tmp_path / "cams" / f"{record.image_id}.safetensors")
        assert stored["present"].tolist() == [c + 1 for c in range(20) if record.tags[c]]
        torch.testing.assert_close(stored["cams"], everything[stored["present"] - 1])
        large, present = read_class_activations(tmp_path, record.image_id, (24, 32))
        torch.testing.assert_close(large, resize_maps(stored["cams"][None], (24, 32))[0])
        assert torch.equal(present, stored["present"])


def test_maps_that_exist_are_not_made_again(voc: Path, trained: Path, tmp_path: Path) -> None:
    data = open_voc(voc)
    localize(tmp_path, data, trained)
    first, *others = sorted((tmp_path / "cams").iterdir())
    whole = first.read_bytes()
    first.unlink()
    kept = others[0].stat().st_mtime_ns
    localize(tmp_path, data, trained)
    assert first.read_bytes() == whole and others[0].stat().st_mtime_ns == kept


def test_an_image_without_tags_has_no_map(voc: Path, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(voc, tmp_path / "voc")
    image_id = open_voc(voc).records("train")[0].image_id
    (tmp_path / "voc" / "Annotations" / f"{image_id}.xml").write_text("<annotation/>")
    localize(tmp_path / "out", open_voc(tmp_path / "voc"), trained)
    stored = read_tensors(tmp_path / "out" / "cams" / f"{image_id}.safetensors")
    assert stored["cams"].shape == (0, 4, 3) and stored["present"].tolist() == []
