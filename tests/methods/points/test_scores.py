import pytest
import torch
from torch import Tensor

from wsss_lightning.methods.points.mil import global_softmax, pixel_softmax
from wsss_lightning.methods.points.sampling import diverse_points
from wsss_lightning.methods.points.scores import (
    global_probabilities,
    pixel_probabilities,
    raw_scores,
    shift_scores,
    strong_scores,
)

CONVENTIONS = [raw_scores, shift_scores, pixel_probabilities, global_probabilities]
DETERMINED = CONVENTIONS[1:]


def maps(seed: int = 0) -> tuple[Tensor, Tensor]:
    foreground, background = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return 4 * foreground, 4 * background


def test_shifted_scores_start_at_zero_in_each_map_and_keep_their_differences() -> None:
    foreground = torch.tensor([[[-3.0, -1.0]], [[5.0, 2.0]]])
    assert shift_scores(foreground, torch.zeros(2, 1, 2)).tolist() == [[[0, 2]], [[3, 0]]]


def test_probabilities_by_hand() -> None:
    foreground, background = torch.tensor([[[0.0, 1.0]]]).log1p(), torch.tensor([[[2.0, 0.0]]]).log1p()  # exp: 1 2, 3 1
    torch.testing.assert_close(pixel_probabilities(foreground, background), torch.tensor([[[1 / 4, 2 / 3]]]))
    torch.testing.assert_close(global_probabilities(foreground, background), torch.tensor([[[1 / 5, 2 / 5]]]))


def test_the_maxima_of_the_probability_maps_are_equations_1_and_2() -> None:
    foreground, background = maps()
    torch.testing.assert_close(
        pixel_probabilities(foreground, background).amax(dim=(1, 2)), pixel_softmax(foreground, background)
    )
    torch.testing.assert_close(
        global_probabilities(foreground, background).amax(dim=(1, 2)), global_softmax(foreground, background)
    )


@pytest.mark.parametrize("convention", DETERMINED)
def test_a_constant_that_equation_2_does_not_see_changes_no_score(convention) -> None:
    foreground, background = maps()
    torch.testing.assert_close(global_softmax(foreground + 7, background + 7), global_softmax(foreground, background))
    torch.testing.assert_close(convention(foreground + 7, background + 7), convention(foreground, background))
    assert bool((convention(foreground, background) >= 0).all())


def test_a_map_that_equation_1_does_not_see_changes_no_pixel_probability() -> None:
    (foreground, background), (unseen, _) = maps(), maps(1)
    torch.testing.assert_close(
        pixel_softmax(foreground + unseen, background + unseen), pixel_softmax(foreground, background)
    )
    torch.testing.assert_close(
        pixel_probabilities(foreground + unseen, background + unseen), pixel_probabilities(foreground, background)
    )


@pytest.mark.parametrize("convention", [raw_scores, shift_scores, global_probabilities])
def test_these_rank_the_locations_of_an_image_as_s_does(convention) -> None:
    foreground, background = maps()
    ranked = convention(foreground, background).flatten(1).argsort(dim=1)
    assert torch.equal(ranked, foreground.flatten(1).argsort(dim=1))


def test_large_scores_do_not_overflow() -> None:
    foreground, background = torch.tensor([[[9e4, 0.0]]]), torch.tensor([[[0.0, 9e4]]])
    assert global_probabilities(foreground, background).tolist() == [[[0.5, 0]]]
    assert pixel_probabilities(foreground, background).tolist() == [[[1, 0]]]


def test_equation_4_rewards_likeness_where_raw_scores_are_negative() -> None:
    foreground, background = torch.tensor([[[-1.0, -1.5, -1.2]]]), torch.zeros(1, 1, 3)
    features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])

    def chosen(convention) -> list[int]:
        return diverse_points(convention(foreground, background).flatten(), features, 2).tolist()

    # The twin of the first point, at -1.5 [1 - 1] = 0, beats the other direction at -1.2; a picked point never does.
    assert chosen(raw_scores) == [0, 1]
    assert [chosen(convention) for convention in DETERMINED] == [[0, 2]] * 3


def test_what_is_below_a_share_of_the_highest_score_counts_nothing() -> None:
    scores = torch.tensor([[[-2.0, 1.0, 2.0, 8.0]]])
    assert strong_scores(scores, scores, share=0.25).tolist() == [[[0, 0, 0, 6]]]
    assert strong_scores(scores, scores, share=0.25, shifted=True).tolist() == [[[0, 0.5, 1.5, 7.5]]]
    assert not strong_scores(-scores.abs(), scores, share=0.25).any()
