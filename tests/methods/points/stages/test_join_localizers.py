from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from fake_data import write_voc
from torch import Tensor

from wsss_lightning import load, models
from wsss_lightning.data.base import SegmentationDataModule
from wsss_lightning.data.classes import with_added, with_classes
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.errors import InputError
from wsss_lightning.methods.points.localizer_module import LocalizerModule
from wsss_lightning.methods.points.stages.join_localizers import join_localizers
from wsss_lightning.nn.hypercolumns import Standardisation
from wsss_lightning.nn.vgg import tiny
from wsss_lightning.stages.fit import inputs_of

KNOWN, ADDED = ("cat", "dog"), ("bus",)


@pytest.fixture
def data(tmp_path: Path) -> SegmentationDataModule:
    write_voc(tmp_path / "voc")
    return with_classes(data=VOCDataModule(root=tmp_path / "voc", train_list="train"), classes=KNOWN)


def write(folder: Path, data: SegmentationDataModule, *, hidden: int = 3, mean: float = 0, whole: bool = False) -> None:
    network = tiny(None, 20)
    columns = sum(network.channels) + (network.global_size if whole else 0)
    model = LocalizerModule(
        class_names=data.class_names,
        backbone=network,
        grid=(2, 2),
        rates=[1.0],
        steps=[1],
        statistics=Standardisation(torch.full((columns,), mean), torch.ones(columns)),
        global_features=whole,
        hidden=hidden,
    )
    models.save(model, folder, inputs=inputs_of(data))


def weights(folder: Path) -> list[dict[str, Tensor]]:
    model = load(folder)
    assert isinstance(model, LocalizerModule)
    return [localizer.state_dict() for localizer in model.localizers.classes]


def join(folder: Path, data: SegmentationDataModule, classes: Sequence[str] = ADDED) -> None:
    grown = with_added(data=data, classes=classes)
    join_localizers(out_dir=str(folder / "all"), data=grown, known=str(folder / "known"), added=str(folder / "added"))


def test_added_classes_follow_the_known_ones_unchanged(tmp_path: Path, data: SegmentationDataModule) -> None:
    write(tmp_path / "known", data)
    write(tmp_path / "added", with_classes(data=data, classes=ADDED))
    join(tmp_path, data)
    together, apart = weights(tmp_path / "all"), [*weights(tmp_path / "known"), *weights(tmp_path / "added")]
    assert len(together) == len(apart) == 3
    for one, other in zip(together, apart, strict=True):
        assert all(torch.equal(value, other[name]) for name, value in one.items())
    assert list(models.read_inputs(tmp_path / "all").class_names) == [*KNOWN, *ADDED]


@pytest.mark.parametrize("other", [{"hidden": 4}, {"mean": 1.0}, {"whole": True}])
def test_localizers_that_see_other_inputs_are_refused(
    tmp_path: Path, data: SegmentationDataModule, other: dict[str, float]
) -> None:
    write(tmp_path / "known", data)
    write(tmp_path / "added", with_classes(data=data, classes=ADDED), **other)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="see other inputs"):
        join(tmp_path, data)
    assert not (tmp_path / "all").exists()
