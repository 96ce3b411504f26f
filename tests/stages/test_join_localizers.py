from pathlib import Path

import pytest
import torch

from wsss_lightning.errors import InputError
from wsss_lightning.methods.points.localizers import Localizers
from wsss_lightning.nn.hypercolumns import Standardisation
from wsss_lightning.stages.fit_localizers import Shape, read_state, write_localizers
from wsss_lightning.stages.join_localizers import join_localizers


def localizers(folder: Path, classes: int, hidden: int = 3) -> Localizers:
    statistics = Standardisation(torch.zeros(5), torch.ones(5))
    network = Localizers(statistics=statistics, num_classes=classes, hidden=hidden, grid=(2, 2))
    write_localizers(folder, network.classes.state_dict(), Shape(classes, hidden, False, False))
    return network


def test_added_classes_follow_the_known_ones_unchanged(tmp_path: Path) -> None:
    known, added = localizers(tmp_path / "known", 2), localizers(tmp_path / "added", 1)
    join_localizers(out_dir=str(tmp_path / "all"), known=str(tmp_path / "known"), added=str(tmp_path / "added"))
    state, shape = read_state(tmp_path / "all")
    assert shape == Shape(3, 3, False, False)
    together = [*known.classes, *added.classes]
    assert len(state) == 3 * len(known.classes[0].state_dict())
    for number, network in enumerate(together):
        for name, value in network.state_dict().items():
            assert torch.equal(state[f"{number}.{name}"], value)


def test_other_widths_are_refused(tmp_path: Path) -> None:
    localizers(tmp_path / "known", 1)
    localizers(tmp_path / "added", 1, hidden=4)
    with pytest.raises(InputError, match="train both with one backbone file"):
        join_localizers(out_dir=str(tmp_path / "all"), known=str(tmp_path / "known"), added=str(tmp_path / "added"))
