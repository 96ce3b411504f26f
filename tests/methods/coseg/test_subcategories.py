import numpy as np
import pytest

from wsss_lightning.methods.coseg.detection import Detections
from wsss_lightning.methods.coseg.subcategories import Merging, Pass, detection_nodes, group_boxes, merge, subcategories

SETTINGS = Merging(
    overlap=0.5, probe=Pass(0.8, 0.2), final=Pass(0.5, 0.6), dropped_mass=0.2, dropped_most=70, members=3
)


def test_groups_begin_with_the_box_that_most_others_lie_around() -> None:
    left = [[0, 0, 10, 10], [3, 0, 13, 10], [6, 0, 16, 10]]  # the middle one overlaps both, these not each other
    groups = group_boxes(np.array([*left, [50, 50, 60, 60]], np.float32), 0.5)
    assert [group.tolist() for group in groups] == [[0, 1, 2], [3]]


def test_every_box_is_in_one_group() -> None:
    corners = np.random.default_rng(0).random((30, 2)) * 20
    groups = group_boxes(np.concatenate([corners, corners + 8], axis=1).astype(np.float32), 0.5)
    assert sorted(np.concatenate(groups).tolist()) == list(range(30))
    assert group_boxes(np.zeros((0, 4), np.float32), 0.5) == []


def test_a_node_is_the_median_box_and_its_detectors() -> None:
    box = np.array([[0, 0, 10, 10], [0, 0, 10, 12], [0, 0, 10, 11], [0, 0, 10, 10]], np.float32)
    found = Detections(np.array([4, 7, 7, 9]), np.array([0, 0, 0, 1]), np.ones(4, np.float32), box)
    nodes = detection_nodes(found, overlap=0.5)
    assert nodes.image.tolist() == [0, 1]
    assert nodes.box.tolist() == [[0, 0, 10, 11], [0, 0, 10, 10]]
    assert nodes.votes.tolist() == [[True, True, False], [False, False, True]]  # columns: detectors 4, 7 and 9


def merge_sets(sets: list[set[int]], settings: Pass) -> list[list[int]]:
    """The rule as it is written, with Python's sets."""
    alive, merges = {index: (each, [index]) for index, each in enumerate(sets)}, 0
    while len(alive) > 1:
        pairs = [(i, j) for i in alive for j in alive if i != j]
        shares = [len(alive[i][0] & alive[j][0]) / max(len(alive[i][0]), 1) for i, j in pairs]
        similarity, first, second = max((share, -i, -j) for share, (i, j) in zip(shares, pairs, strict=True))
        if similarity == 0 or (merges >= settings.share * len(sets) and similarity < settings.similarity):
            break
        gone, left = alive.pop(-first), alive[-second]
        alive[-second], merges = (gone[0] | left[0], gone[1] + left[1]), merges + 1
    return [sorted(members) for _, (_, members) in sorted(alive.items())]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("settings", [Pass(0.8, 0.2), Pass(0.0, 0.5), Pass(0.5, 0.6)])
def test_merging_is_the_rule_on_sets(seed: int, settings: Pass) -> None:
    votes = np.random.default_rng(seed).random((25, 9)) < 0.25
    sets = [set(np.flatnonzero(column).tolist()) for column in votes.T]
    assert merge(votes, settings) == merge_sets(sets, settings)


def blocks(*sizes: tuple[int, int]) -> np.ndarray:
    """Groups of (nodes, detectors) that all vote for all of their own."""
    votes = np.zeros((sum(n for n, _ in sizes), sum(e for _, e in sizes)), bool)
    row = column = 0
    for nodes, detectors in sizes:
        votes[row : row + nodes, column : column + detectors] = True
        row, column = row + nodes, column + detectors
    return votes


def test_detectors_that_agree_are_a_subcategory_and_small_ones_are_dropped() -> None:
    found = subcategories(blocks((6, 3), (10, 4), (2, 2), (2, 2), (2, 2)), SETTINGS)
    assert [each.detectors for each in found] == [(3, 4, 5, 6), (0, 1, 2)]
    assert found[0].nodes.tolist() == list(range(6, 16))
    assert found[0].votes.tolist() == [4] * 10


def test_a_single_detectors_vote_does_not_make_a_member() -> None:
    votes = blocks((6, 3))
    votes = np.concatenate([votes, np.eye(3, dtype=bool)[:1]])
    assert subcategories(votes, SETTINGS)[0].nodes.tolist() == list(range(6))


def test_clusters_of_one_size_all_stay_and_nothing_gives_nothing() -> None:
    assert len(subcategories(blocks((6, 3), (6, 3)), SETTINGS)) == 2
    assert subcategories(np.zeros((0, 0), bool), SETTINGS) == []
