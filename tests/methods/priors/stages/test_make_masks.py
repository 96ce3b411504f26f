import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_segmenter import open_voc
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from wsss_lightning.data.images import read_image
from wsss_lightning.data.masks import read_mask
from wsss_lightning.data.voc import VOCDataModule
from wsss_lightning.methods.priors.priors import combine, fuse, scale_activation_maps
from wsss_lightning.methods.priors.stages.make_masks import Priors, make_masks, prior_probabilities
from wsss_lightning.ops.crf import dense_crf, region_potential, unary_from_scores
from wsss_lightning.stages.io import write_tensors
from wsss_lightning.stages.refine import smooth

SIZE = (24, 32)
CRF = partial(
    dense_crf,
    spatial_weight=0.1,
    spatial_sigma=3.0,
    bilateral_weight=0.1,
    bilateral_sigma=30.0,
    color_sigma=10.0,
    iterations=3,
)


def no_field(image: NDArray[np.uint8], unary: NDArray[np.float32], *terms: Any) -> NDArray[np.float32]:
    """The best label of each pixel by itself."""
    return np.exp(-unary)


@pytest.fixture
def data(tmp_path: Path) -> VOCDataModule:
    return open_voc(tmp_path / "voc")


@pytest.fixture
def priors(tmp_path: Path, data: VOCDataModule) -> Path:
    """Random activations, maps and regions in the form that the stages before leave them in."""
    generator, folder = torch.Generator().manual_seed(0), tmp_path / "priors"
    (folder / "regions").mkdir(parents=True)
    for number, record in enumerate([*data.records("train"), *data.records("val")]):
        present = torch.from_numpy(np.flatnonzero(record.tags)) + 1
        means = {
            name: torch.rand(1, *size, generator=generator) for name, size in (("conv4", (6, 8)), ("conv5", (3, 4)))
        }
        cams = torch.randn(len(present), 4, 5, generator=generator)
        write_tensors(folder / "fusion" / f"{record.image_id}.safetensors", means)
        write_tensors(folder / "cams" / f"{record.image_id}.safetensors", {"cams": cams, "present": present})
        # 2 x 2 px: a region of many uncertain pixels is hardly ever one label throughout, and then changes nothing
        tiles = np.random.default_rng(number).permutation(192).reshape(12, 16).repeat(2, 0).repeat(2, 1)
        Image.fromarray(tiles.astype(np.uint16)).save(folder / "regions" / f"{record.image_id}.png")
    return folder


def run(out_dir: Path, data: VOCDataModule, priors: Path, **settings: Any) -> Callable[[str], NDArray[np.uint8]]:
    defaults: dict[str, Any] = {
        "split": "train",
        "kind": "classes",
        "fusion": str(priors),
        "cams": str(priors),
        "regions": None,
        "combine": combine,
        "counted": "present",
        "unary": unary_from_scores,
        "crf": no_field,
        "workers": 1,
        "progress": False,
    }
    make_masks(out_dir=str(out_dir), data=data, **{**defaults, **settings})
    return lambda image_id: read_mask(out_dir / "masks" / f"{image_id}.png")


def stored(priors: Path, image_id: str) -> tuple[Tensor, Tensor, Tensor]:
    """P_f, M_c and labels at full size, read without the stages' readers."""
    means = load_file(priors / "fusion" / f"{image_id}.safetensors")
    fusion = fuse(means["conv4"][None], means["conv5"][None], SIZE)[0]
    maps = load_file(priors / "cams" / f"{image_id}.safetensors")
    cams = torch.nn.functional.interpolate(maps["cams"][None], SIZE, mode="bilinear")[0]
    return fusion, cams, maps["present"]


def test_foreground_is_where_the_fusion_exceeds_a_half(tmp_path: Path, data: VOCDataModule, priors: Path) -> None:
    """Eq 7 of two labels without a field."""
    mask = run(tmp_path / "out", data, priors, kind="foreground", cams=None)
    for record in data.records("train"):
        fusion, _, _ = stored(priors, record.image_id)
        assert np.array_equal(mask(record.image_id), (fusion > 0.5).numpy())
        assert np.unique(mask(record.image_id)).tolist() == [0, 1]


def test_classes_are_the_best_of_equations_2_to_5_in_the_data_sets_indices(tmp_path: Path, priors: Path) -> None:
    kept = ["aeroplane", "cat", "bird", "boat", "bicycle", "bottle", "bus", "car"]
    data = open_voc(tmp_path / "voc", classes=kept)
    for record in data.records("train"):  # labels by the order of `kept`
        present = torch.from_numpy(np.flatnonzero(record.tags)) + 1
        cams = torch.randn(len(present), 4, 5, generator=torch.Generator().manual_seed(len(present)))
        write_tensors(priors / "cams" / f"{record.image_id}.safetensors", {"cams": cams, "present": present})
    mask, seen = run(tmp_path / "out", data, priors), set()
    for record in data.records("train"):
        fusion, cams, present = stored(priors, record.image_id)
        best = combine(fusion, cams).argmax(dim=0)
        expected = data.decode(np.array([0, *present], np.uint8)[best.numpy()])
        assert np.array_equal(mask(record.image_id), expected)
        seen |= set(np.unique(expected))
    assert len(seen) > 2 and seen <= {0, *(data.labels.indices.tolist())}


def test_without_fusion_alpha_is_0(tmp_path: Path, data: VOCDataModule, priors: Path) -> None:
    mask = run(tmp_path / "out", data, priors, fusion=None)
    for record in data.records("train"):
        _, cams, present = stored(priors, record.image_id)
        scaled = scale_activation_maps(cams)
        labels = torch.cat([(1 - scaled.mean(dim=0))[None], scaled]).argmax(dim=0).numpy()
        assert np.array_equal(mask(record.image_id), np.array([0, *present])[labels])


def test_counting_all_classes_makes_the_background_likelier(data: VOCDataModule, priors: Path) -> None:
    """Eq 4 with C = 20 and M_c = 0 where there is no tag: M_0 = 1 - (M_1 + M_2) / 20."""
    fusion, cams, _ = stored(priors, data.records("train")[0].image_id)
    assert len(cams) > 1
    whole = partial(combine, normalise=False)
    few, many = (prior_probabilities(fusion, cams, whole, counted=count) for count in (len(cams), 20))
    scaled = scale_activation_maps(cams)
    for found, count in ((few, len(cams)), (many, 20)):
        expected = 0.5 * (1 - fusion) + 0.5 * (1 - scaled.sum(dim=0) / count)
        torch.testing.assert_close(torch.from_numpy(found[0]), expected)
    assert np.array_equal(few[1:], many[1:])
    normalised = prior_probabilities(fusion, cams, combine, counted=20)
    torch.testing.assert_close(torch.from_numpy(normalised.sum(axis=0)), torch.ones(SIZE))


@pytest.mark.parametrize("counted, count", [("present", None), ("all", 20)])
def test_what_counts_is_a_setting(
    tmp_path: Path, data: VOCDataModule, priors: Path, counted: Any, count: int | None
) -> None:
    record = data.records("train")[0]
    sources = Priors("classes", priors, priors, combine, counted)
    labels, probs = sources.of_image(record, SIZE)
    fusion, cams, present = stored(priors, record.image_id)
    assert labels.tolist() == [0, *present]
    expected = prior_probabilities(fusion, cams, combine, counted=count or len(cams))
    np.testing.assert_allclose(probs, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["foreground", "classes"])
@pytest.mark.parametrize("with_regions", [False, True])
def test_the_field_is_that_of_equation_6(
    tmp_path: Path, data: VOCDataModule, priors: Path, kind: Any, with_regions: bool
) -> None:
    regions = str(priors) if with_regions else None
    mask = run(tmp_path / "out", data, priors, kind=kind, regions=regions, crf=CRF)
    for record in data.records("train"):
        fusion, cams, present = stored(priors, record.image_id)
        probs = (combine(fusion, cams) if kind == "classes" else torch.stack([1 - fusion, fusion])).numpy()
        found = np.array(Image.open(priors / "regions" / f"{record.image_id}.png")).astype(np.int32)
        terms = (found, region_potential(probs, found)) if with_regions else ()
        best = CRF(read_image(record.image), unary_from_scores(probs), *terms).argmax(axis=0)
        labels = np.array([0, *present]) if kind == "classes" else np.arange(2)
        assert np.array_equal(mask(record.image_id), labels[best])


def test_regions_change_masks(tmp_path: Path, data: VOCDataModule, priors: Path) -> None:
    pairs = run(tmp_path / "pairs", data, priors, crf=CRF)
    higher = run(tmp_path / "higher", data, priors, crf=CRF, regions=str(priors))
    ids = [record.image_id for record in data.records("train")]
    assert any(not np.array_equal(pairs(i), higher(i)) for i in ids)


@pytest.mark.parametrize("kind", ["foreground", "classes"])
def test_an_image_without_tags_is_background(tmp_path: Path, data: VOCDataModule, priors: Path, kind: Any) -> None:
    record = data.records("train")[0]
    record.tags[:] = False
    mask = run(tmp_path / "out", data, priors, kind=kind, crf=CRF, regions=str(priors))
    assert not mask(record.image_id).any()


def test_ground_truth_is_not_looked_at(tmp_path: Path, data: VOCDataModule, priors: Path) -> None:
    with_truth = run(tmp_path / "with", data, priors, crf=CRF)
    shutil.rmtree(tmp_path / "voc" / "SegmentationClass")
    shutil.rmtree(tmp_path / "voc" / "SegmentationClassAug")
    without = run(tmp_path / "without", open_voc(tmp_path / "voc"), priors, crf=CRF)
    for record in data.records("train"):
        assert np.array_equal(with_truth(record.image_id), without(record.image_id))


def test_only_what_is_missing_is_made(tmp_path: Path, data: VOCDataModule, priors: Path) -> None:
    run(tmp_path / "out", data, priors)
    first, *others = sorted((tmp_path / "out" / "masks").iterdir())
    whole = first.read_bytes()
    first.unlink()
    kept = others[0].stat().st_mtime_ns
    run(tmp_path / "out", data, priors)
    assert first.read_bytes() == whole and others[0].stat().st_mtime_ns == kept


def test_masks_of_val_images_use_their_tags(tmp_path: Path, data: VOCDataModule, priors: Path) -> None:
    mask = run(tmp_path / "out", data, priors, split="val")
    for record in data.records("val"):
        assert set(np.unique(mask(record.image_id))) <= {0, *(np.flatnonzero(record.tags) + 1)}


def test_one_label_needs_no_field() -> None:
    image = np.zeros((4, 5, 3), np.uint8)
    assert not smooth(image, np.ones((1, 4, 5), np.float32), None, unary=unary_from_scores, crf=CRF).any()


@pytest.mark.parametrize("kind, fusion, cams", [("foreground", None, Path("x")), ("classes", Path("x"), None)])
def test_sources_that_a_kind_needs(kind: Any, fusion: Path | None, cams: Path | None) -> None:
    with pytest.raises(ValueError, match=r"`fusion`, those of classes `cams`"):
        Priors(kind, fusion, cams, combine, "present")
