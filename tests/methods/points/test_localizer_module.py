import copy
from typing import Any

import pytest
import torch
from fake_hypercolumns import CLASSES, GRID, features, pictures, two_layers
from torch import Tensor
from torch.nn import functional as F

from wsss_lightning.methods.points.localizer_module import LocalizerModule, joined
from wsss_lightning.methods.points.localizers import Pooling, reached_locations, score_probabilities
from wsss_lightning.methods.points.mil import global_logits, pixel_logits
from wsss_lightning.nn.hypercolumns import assemble


def module(pooling: Pooling = global_logits, *, with_global: bool = False) -> LocalizerModule:
    return LocalizerModule(
        class_names=CLASSES,
        backbone=two_layers(),
        grid=GRID,
        rates=(1e-2, 1e-3),
        steps=(20, 10),
        hidden=7,
        pooling=pooling,
        global_features=with_global,
    )


def loss(trained: LocalizerModule, batch: dict[str, Any]) -> Tensor:
    prepared = trained.localizers.prepare(batch["features"])
    return torch.stack([trained.loss(prepared, c, batch["tags"][c]) for c in batch["classes"]]).sum()


@pytest.mark.parametrize("pooling", [global_logits, pixel_logits])
@pytest.mark.parametrize("present", [True, False])
def test_gradient_through_the_reached_locations_is_the_whole_gradient(pooling: Pooling, present: bool) -> None:
    short, whole = module(pooling), module(pooling)
    maps = features(1).maps
    short.loss(maps, 0, torch.tensor(present)).backward()
    (scores,) = whole.localizers.classes[0].score_maps(maps, GRID)  # type: ignore[operator]
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
        {"features": features(step), "tags": torch.tensor([True, False, step % 2 == 0]), "classes": classes}
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
    rate = module().schedule()  # 20 steps at 1e-2, then 10 at 1e-3
    assert [rate(step) for step in (0, 10, 19, 20, 29, 30)] == [1e-2, 1e-2, 1e-2, 1e-3, 1e-3, 1e-3]


def test_the_global_vector_is_one_more_map_of_a_single_location() -> None:
    given, network = features(0), module(with_global=True)
    columns = torch.cat([assemble(given.maps, GRID), given.pooled[:, :, None, None].expand(-1, -1, *GRID)], dim=1)
    textbook = network.localizers.classes[0](columns[0].flatten(1).T).T  # type: ignore[operator]
    torch.testing.assert_close(network.localizers(given, [0], GRID)[0, 0].flatten(1), textbook)


def test_score_maps_of_some_classes_of_some_images() -> None:
    localizers, given = module().localizers, features(0, images=2)
    both = localizers(given, [2, 0], GRID)
    assert both.shape == (2, 2, 2, *GRID)
    torch.testing.assert_close(both[1, 1], localizers(given.of_image(1), [0], GRID)[0, 0])
    assert localizers(given, [], GRID).shape == (2, 0, 2, *GRID)


def test_images_are_scored_as_their_features() -> None:
    network = module().eval()
    scores = network(pictures(2))
    assert scores.shape == (2, 3, 2, *GRID)
    torch.testing.assert_close(scores, network.scores(network.backbone.features(pictures(2))))
    batch = {"image": pictures(2), "image_id": ["a", "b"], "size": torch.tensor([[24, 32], [12, 16]])}
    first, second = network.predict_step(batch | {"present": torch.tensor([[False, True, True], [False] * 3])}, 0)
    torch.testing.assert_close(first.stored["scores"], scores[0, 1:])
    assert first.stored["present"].tolist() == [2, 3] and set(first.labels.unique().tolist()) <= {0, 2, 3}
    assert second.labels.shape == (12, 16) and not second.labels.any()


def test_scores_are_probabilities_against_a_background_of_zero() -> None:
    scores = torch.tensor([[[[2.0]], [[1.0]]], [[[0.0]], [[3.0]]]])  # S - S̄ = 1 and -3
    probabilities = score_probabilities({"scores": scores, "present": torch.tensor([1, 3])}, (1, 1), num_labels=4)
    expected = torch.tensor([0.0, 1.0, -torch.inf, -3.0]).softmax(dim=0)
    torch.testing.assert_close(probabilities[:, 0, 0], expected)


def test_all_classes_learn_from_images_without_a_choice() -> None:
    network, tags = module(), torch.tensor([[True, False, False], [False, True, True]])
    given = network.localizers.prepare(network.extracted(pictures(2)))
    parts = [[network.loss([m[i : i + 1] for m in given], c, tags[i, c]) for c in range(3)] for i in range(2)]
    expected = torch.stack([torch.stack(part).sum() for part in parts]).mean()
    batch = {"image": pictures(2), "tags": tags, "share": torch.tensor(1.0)}
    torch.testing.assert_close(network.training_step(batch, 0), expected)


def test_joined_localizers_keep_their_weights_in_the_order_of_the_names() -> None:
    whole = module()
    own = [{"backbone": two_layers(), "class_names": names} for names in (["cat", "bird"], ["dog"])]
    parts = [LocalizerModule(**{**whole.hparams, **each}) for each in own]
    for part in parts:
        for parameter in part.localizers.classes.parameters():
            parameter.data.add_(torch.randn_like(parameter))
    together = joined(parts, CLASSES).localizers.classes
    for index, part, position in ((0, 0, 0), (1, 1, 0), (2, 0, 1)):
        expected = parts[part].localizers.classes[position].state_dict()
        assert all(torch.equal(value, expected[name]) for name, value in together[index].state_dict().items())
