import pytest
import torch
from torch import Tensor

from wsss_lightning.methods.priors.priors import class_activation_maps, combine, fuse, scale_activation_maps

F64 = torch.float64


def maps(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(5), dtype=F64)


# The fusion of sec. 3.1.1.


def test_fusion_by_hand() -> None:
    # Means over channels: [[1, 2], [3, 4]] and [[0, 0], [4, 8]]; their sum [[1, 2], [7, 12]] scaled by 1 / 11.
    conv4 = torch.tensor([[[[0.0, 4.0], [3.0, 1.0]], [[2.0, 0.0], [3.0, 7.0]]]], dtype=F64)
    conv5 = torch.tensor([[[[0.0, 0.0], [4.0, 8.0]]]], dtype=F64)
    expected = torch.tensor([[[0, 1 / 11], [6 / 11, 1]]], dtype=F64)
    torch.testing.assert_close(fuse(conv4, conv5, (2, 2)), expected)


def test_fusion_is_scaled_image_by_image_and_knows_no_units() -> None:
    conv4, conv5 = maps(3, 4, 8, 6), maps(3, 5, 4, 3)
    fused = fuse(conv4, conv5, (16, 12))
    assert fused.shape == (3, 16, 12)
    assert (fused.amin(dim=(1, 2)) == 0).all() and (fused.amax(dim=(1, 2)) == 1).all()
    torch.testing.assert_close(fuse(7 * conv4 + 2, 7 * conv5, (16, 12)), fused)
    torch.testing.assert_close(fuse(conv4[1:2], conv5[1:2], (16, 12)), fused[1:2])


def test_a_constant_sum_has_no_foreground() -> None:
    assert not fuse(torch.ones(1, 2, 2, 2), torch.ones(1, 2, 2, 2), (4, 4)).any()


def test_gradient_of_the_fusion() -> None:
    assert torch.autograd.gradcheck(
        lambda a, b: fuse(a, b, (4, 4)), (maps(1, 2, 4, 4).requires_grad_(), maps(1, 3, 2, 2).requires_grad_())
    )


# Equation 1.


def test_equation_1_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 5.0]]]])
    weights = torch.tensor([[1.0, 0.0], [2.0, -1.0]])
    assert class_activation_maps(features, weights).tolist() == [[[[1.0, 2.0]], [[-1.0, -1.0]]]]


def test_mean_of_a_map_is_the_class_score_of_a_pooled_network() -> None:
    features, weights = maps(2, 6, 5, 4), maps(3, 6)
    scores = features.mean(dim=(2, 3)) @ weights.T
    torch.testing.assert_close(class_activation_maps(features, weights).mean(dim=(2, 3)), scores)


def test_gradient_of_the_activation_maps() -> None:
    inputs = (maps(1, 3, 2, 2).requires_grad_(), maps(2, 3).requires_grad_())
    assert torch.autograd.gradcheck(class_activation_maps, inputs)


# The scale of M_c.


def test_negatives_are_clipped_or_shifted() -> None:
    cams = torch.tensor([[[-2.0, 0.0, 2.0]], [[-3.0, -2.0, -1.0]]])
    assert scale_activation_maps(cams).tolist() == [[[0, 0, 1]], [[0, 0, 0]]]
    assert scale_activation_maps(cams, negatives="shift").tolist() == [[[0, 0.5, 1]], [[0, 0.5, 1]]]


# Equations 2 to 5.


def test_equations_2_to_5_by_hand() -> None:
    fusion = torch.tensor([[0.2, 1.0, 0.6]], dtype=F64)
    cams = torch.tensor([[[0.0, 4.0, 0.4]], [[1.0, 0.0, 0.5]]], dtype=F64)
    # M = [0, 1, .1], [1, 0, .5]; B = [0, 1, 0], [1, 0, 1]; Q = [0, 1, 0], [.2, 0, .6]; M_0 = [.5, .5, .7]
    expected = [[[0.65, 0.25, 0.55]], [[0, 1, 0.05]], [[0.6, 0, 0.55]]]
    torch.testing.assert_close(combine(fusion, cams, normalise=False), torch.tensor(expected, dtype=F64))
    whole = torch.tensor([[1.25, 1.25, 1.15]], dtype=F64)
    torch.testing.assert_close(combine(fusion, cams), torch.tensor(expected, dtype=F64) / whole)


def test_alpha_moves_between_the_fusion_and_the_activation_maps() -> None:
    fusion, cams = maps(4, 5), maps(2, 4, 5)
    by_maps = combine(fusion, cams, alpha=0, normalise=False)
    torch.testing.assert_close(by_maps[1:], scale_activation_maps(cams))
    by_fusion = combine(fusion, cams, alpha=1, threshold=-1, normalise=False)
    torch.testing.assert_close(by_fusion[1:], fusion.expand(2, -1, -1))
    torch.testing.assert_close(by_fusion[0], 1 - fusion)


def test_labels_are_probabilities_and_classes_are_interchangeable() -> None:
    fusion, cams = maps(4, 5), maps(3, 4, 5)
    labels = combine(fusion, cams)
    assert (labels >= 0).all()
    torch.testing.assert_close(labels.sum(dim=0), torch.ones(4, 5, dtype=F64))
    torch.testing.assert_close(combine(fusion, cams.flip(0))[1:], labels[1:].flip(0))


def test_a_class_without_evidence_gets_nothing() -> None:
    labels = combine(maps(4, 5), torch.cat([maps(1, 4, 5), -maps(1, 4, 5)]))
    assert not labels[2].any() and labels.isfinite().all()


def test_gradient_of_the_combination() -> None:
    # The threshold's steps have no derivative; random values do not lie on them.
    inputs = (maps(3, 3).requires_grad_(), maps(2, 3, 3).flip(0).requires_grad_())
    assert torch.autograd.gradcheck(combine, inputs)


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"fusion's size \(4, 5\), not \(2, 5, 4\)"):
        combine(maps(4, 5), maps(2, 5, 4))
    with pytest.raises(ValueError, match=r"not \(0, 4, 5\)"):
        combine(maps(4, 5), maps(0, 4, 5))


# What departs from the paper.


def test_a_constant_stands_for_the_background() -> None:
    fusion, cams = maps(4, 5), maps(2, 4, 5)
    plain, constant = combine(fusion, cams, normalise=False), combine(fusion, cams, normalise=False, background=0.3)
    assert torch.equal(plain[1:], constant[1:])
    assert torch.equal(constant[0], torch.full_like(fusion, 0.3))
    torch.testing.assert_close(combine(fusion, cams, background=0.3).sum(dim=0), torch.ones(4, 5, dtype=F64))


def test_peaks_bring_every_class_to_1() -> None:
    fusion, cams = maps(4, 5) / 2, maps(2, 4, 5)
    plain, peaks = combine(fusion, cams, normalise=False), combine(fusion, cams, normalise=False, peaks=True)
    assert (plain[1:].amax(dim=(1, 2)) < 1).all()
    torch.testing.assert_close(peaks[1:], plain[1:] / plain[1:].amax(dim=(1, 2), keepdim=True))
    assert torch.equal(peaks[0], plain[0])
    assert not combine(fusion, -cams, normalise=False, peaks=True)[1:].any(), "a class without a positive map"
