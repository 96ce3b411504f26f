from pathlib import Path

import pytest
import torch

from wsss_lightning.errors import InputError
from wsss_lightning.methods.points.localizers import Localizers
from wsss_lightning.methods.points.stages.fit_localizers import read_state, write_localizers
from wsss_lightning.methods.points.stages.join_localizers import join_localizers
from wsss_lightning.nn.hypercolumns import Standardisation


def localizers(
    folder: Path, *, classes: int, hidden: int = 3, mean: float = 0, with_global: bool = False
) -> Localizers:
    statistics = Standardisation(torch.full((5,), mean), torch.ones(5))
    network = Localizers(statistics=statistics, num_classes=classes, hidden=hidden, grid=(2, 2))
    write_localizers(folder, network.state_dict(), with_global=with_global)
    return network


def test_added_classes_follow_the_known_ones_unchanged(tmp_path: Path) -> None:
    known, added = localizers(tmp_path / "known", classes=2), localizers(tmp_path / "added", classes=1)
    join_localizers(out_dir=str(tmp_path / "all"), known=str(tmp_path / "known"), added=str(tmp_path / "added"))
    state = read_state(tmp_path / "all")
    assert len(state) == 3 * len(known.classes[0].state_dict()) + 3  # mean, scale, with_global
    for number, network in enumerate([*known.classes, *added.classes]):
        for name, value in network.state_dict().items():
            assert torch.equal(state[f"classes.{number}.{name}"], value)


@pytest.mark.parametrize("other", [{"hidden": 4}, {"mean": 1.0}, {"with_global": True}])
def test_localizers_that_see_other_inputs_are_refused(tmp_path: Path, other: dict[str, float]) -> None:
    localizers(tmp_path / "known", classes=1)
    localizers(tmp_path / "added", classes=1, **other)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="see other inputs"):
        join_localizers(out_dir=str(tmp_path / "all"), known=str(tmp_path / "known"), added=str(tmp_path / "added"))
    assert not (tmp_path / "all").exists()
