import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.methods.points.localizers import LocalizerModule, Localizers, Pooling, inputs, reached_locations
from wsss_lightning.methods.points.mil import global_logits, pixel_logits
from wsss_lightning.nn.backbones import Features
from wsss_lightning.nn.hypercolumns import Standardisation, assemble

GRID = (6, 8)


def maps(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(1, 5, *GRID, generator=generator), torch.randn(1, 4, 3, 4, generator=generator)]


def module(pooling: Pooling = global_logits) -> LocalizerModule:
    torch.manual_seed(0)
    statistics = Standardisation(torch.zeros(9), torch.ones(9))
    localizers = Localizers(statistics=statistics, num_classes=3, hidden=7, grid=GRID)
    return LocalizerModule(localizers=localizers, rates=(1e-2, 1e-3), ends=(20, 30), pooling=pooling)


def loss(trained: LocalizerModule, batch: dict[str, Any]) -> Tensor:
    prepared = trained.localizers.prepare(batch["maps"])
    return torch.stack([trained._loss(prepared, c, batch["tags"][c]) for c in batch["classes"]]).sum()


@pytest.mark.parametrize("pooling", [global_logits, pixel_logits])
@pytest.mark.parametrize("present", [True, False])
def test_gradient_through_the_reached_locations_is_the_whole_gradient(pooling: Pooling, present: bool) -> None:
    short, whole = module(pooling), module(pooling)
    short._loss(maps(1), 0, torch.tensor(present)).backward()
    scores = whole.localizers.classes[0].score_maps(maps(1), GRID)  # type: ignore[operator]
    logit = pooling(scores[:1], scores[1:])
    F.binary_cross_entropy_with_logits(logit, torch.tensor([float(present)])).backward()
    pairs = zip(short.localizers.classes[0].parameters(), whole.localizers.classes[0].parameters(), strict=True)
    for one, other in pairs:
        torch.testing.assert_close(one.grad, other.grad)


def test_eq_1_reaches_one_location_and_eq_2_two() -> None:
    scores = torch.stack([torch.eye(6, 8), torch.eye(6, 8).flip(0)]) + torch.rand(2, *GRID) / 10
    assert len(reached_locations(scores, pixel_logits)) == 1
    expected = {int(scores[0].argmax()), int(scores[1].argmax())}
    assert set(reached_locations(scores, global_logits).tolist()) == expected


def test_classes_trained_together_equal_classes_trained_alone() -> None:
    batches = [
        {"maps": maps(step), "tags": torch.tensor([True, False, step % 2 == 0]), "classes": classes}
        for step, classes in enumerate([[0, 1], [1], [0, 2], [2], [0, 1, 2], [1, 2]])
    ]
    together = module()
    start = copy.deepcopy(together.localizers.classes.state_dict())
    train(together, batches)
    for c in range(3):
        alone = module()
        train(alone, [{**batch, "classes": [c]} for batch in batches if c in batch["classes"]])
        for name, value in together.localizers.classes[c].state_dict().items():
            torch.testing.assert_close(value, alone.localizers.classes[c].state_dict()[name], rtol=0, atol=0)
            assert not torch.equal(value, start[f"{c}.{name}"])


def train(trained: LocalizerModule, batches: list[dict[str, Any]]) -> None:
    optimizer = torch.optim.Adam(trained.localizers.classes.parameters(), lr=1e-2)
    for batch in batches:
        optimizer.zero_grad()
        loss(trained, batch).backward()
        optimizer.step()


def test_rate_falls_where_a_phase_ends() -> None:
    trained = module()  # 20 steps at 1e-2, then 10 at 1e-3
    assert [trained.rate(step) for step in (0, 10, 19, 20, 29, 30)] == [1e-2, 1e-2, 1e-2, 1e-3, 1e-3, 1e-3]


def test_the_global_vector_is_one_more_map_of_a_single_location() -> None:
    seen = Features(maps=maps(0), pooled=torch.rand(1, 3))
    assert inputs(seen, with_global=False) == seen.maps
    columns = assemble(inputs(seen, with_global=True), GRID)
    torch.testing.assert_close(columns[:, 9:], seen.pooled[:, :, None, None].expand(-1, -1, *GRID))
    statistics = Standardisation(torch.zeros(12), torch.ones(12))
    localizers = Localizers(statistics=statistics, num_classes=1, hidden=7, grid=GRID, with_global=True)
    textbook = localizers.classes[0](columns[0].flatten(1).T).T  # type: ignore[operator]
    torch.testing.assert_close(localizers.on_image(seen, [0])[0].flatten(1), textbook)


def test_score_maps_of_some_classes() -> None:
    localizers = module().localizers
    both = localizers(maps(0), [2, 0])
    assert both.shape == (2, 2, *GRID)
    torch.testing.assert_close(both[1], localizers(maps(0), [0])[0])
