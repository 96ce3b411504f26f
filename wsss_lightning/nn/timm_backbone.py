"""Any CNN or plain ViT of timm as a backbone; channels, strides and blocks are what its `feature_info` says."""

import difflib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsss_lightning.errors import InputError
from wsss_lightning.nn.backbones import Backbone, Features, freeze
from wsss_lightning.nn.class_attention import attended
from wsss_lightning.nn.description import described
from wsss_lightning.nn.key_maps import rename_keys
from wsss_lightning.nn.prediction import Edges
from wsss_lightning.nn.states import State, load_weights, read_state_file

log = logging.getLogger(__name__)
ClassToken = Literal["ignored", "attention"]
PRETRAINED = "pretrained"
_MAPS_OF_VIT = 4  # evenly over its blocks, as many as a CNN has stages


class TimmBackbone(Backbone):
    """The maps of all levels of timm's `feature_info`; of a plain ViT those behind each quarter of its blocks.

    A ViT's maps are its patch tokens behind its last norm; its images are resized to whole patches. The global vector
    is the average of the last map. There is no classifier.

    Args:
        name: of timm's models, such as "resnet18" or "vit_tiny_patch16_224".
        class_token: what that of a ViT does to the last map that a `Trunk` looks at: "ignored", nothing; "attention",
            it weights the patches, see `nn.class_attention`. Nothing either way where there is none.
        mean: RGB statistics of the weights.
        std: likewise.

    Raises:
        InputError: timm is not installed, has no such model or none whose maps can be had.
    """

    shared: Mapping[str, Sequence[int]] = {}

    def __init__(self, name: str, *, class_token: ClassToken, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if class_token not in ("ignored", "attention"):
            raise InputError(f"class_token={class_token}: choose ignored or attention.")
        self.name, self.mean, self.std = name, tuple(mean), tuple(std)
        self.network: Any = create(name)
        info = [dict(level) for level in getattr(self.network, "feature_info", [])]
        if len(info) < 2 or not hasattr(self.network, "forward_intermediates"):
            raise InputError(
                f"timm's {name} has no maps of several levels: choose a CNN or a plain ViT, or a newer timm."
            )
        self.plain = len({level["reduction"] for level in info}) == 1
        self.levels = _quarters(len(info)) if self.plain else list(range(len(info)))
        self.period = int(info[-1]["reduction"])  # px of the coarsest cells
        self.channels = tuple(int(info[level]["num_chs"]) for level in self.levels)
        self.global_size, self.before_last = self.channels[-1], str(info[self.levels[-2]]["module"])
        self.on_corners = not self.plain and _look_at_corners(self.network)
        self.attends = class_token == "attention" and bool(getattr(self.network, "has_class_token", False))
        self._prune(self.network)

    def features(self, images: Tensor, *, with_global: bool = True) -> Features:
        maps = self._maps(images)
        pooled = maps[-1].mean(dim=(2, 3)) if with_global else images.new_zeros(len(images), 0)
        return Features(maps=maps, pooled=pooled)

    def blocks(self, images: Tensor) -> list[list[Tensor]]:
        """The positive part of each level's map: not every network ends a level with a ReLU."""
        return [[torch.relu(each)] for each in self._maps(images)]

    def drop_classifier(self) -> None:
        """It has none."""

    def dilate(self, stride: int) -> None:
        """Bring the last levels to 1/`stride` of the input, where timm can; else `last_maps` enlarges them.

        Strides over patches of 2 x 2 stay: without them a cell would look half a cell beside the one before.
        """
        for options in ({}, {"features_only": True}) if self.on_corners else ():  # some networks of timm only so
            try:
                dilated = create(self.name, output_stride=stride, **options)
                if not options:
                    self._prune(dilated)
                dilated.load_state_dict(self.network.state_dict())
            except (TypeError, AssertionError, NotImplementedError, RuntimeError, ValueError):
                continue
            self.network, self.period = dilated.train(self.network.training), stride
            return
        log.info("timm's %s is not dilated to a stride of %d px: its last maps are enlarged.", self.name, stride)

    def last_maps(self, images: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Those of the last two levels, brought to a `grid` (h, w) where they have another size.

        Images are seen at the nearest size at which the coarsest cells meet both borders.
        """
        images = _resized(images, self.period, rest=int(self.on_corners))
        levels = attended(self.network, lambda: self._maps(images)) if self.attends else self._maps(images)
        shallow, deep = (self._at(maps, grid) for maps in levels[-2:])
        return shallow, deep

    def last_parameters(self) -> list[nn.Parameter]:
        """All that stands behind the last map but one.

        Raises:
            InputError: nothing that could learn does.
        """
        modules = dict(self.network.named_modules())
        names, inside = list(modules), f"{self.before_last}."
        start = max(place for place, name in enumerate(names) if f"{name}.".startswith(inside))
        parameters = [each for name in names[start + 1 :] for each in modules[name].parameters(recurse=False)]
        if not parameters:
            raise InputError(f"The last map of timm's {self.name} has no weights of its own: take trunk frozen or all.")
        return parameters

    def _maps(self, images: Tensor) -> list[Tensor]:
        if self.plain:
            images = _resized(images, self.period)
        size = (images.shape[-2], images.shape[-1])
        try:
            if not hasattr(self.network, "forward_intermediates"):  # one of `features_only`
                return list(self.network(images))
            maps: list[Tensor] = self.network.forward_intermediates(
                images, indices=self.levels, norm=self.plain, intermediates_only=True
            )
        except AssertionError as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"timm's {self.name} takes no {size[0]} x {size[1]} px ({reason}): choose a CNN or a plain ViT."
            ) from error
        return maps

    def _at(self, maps: Tensor, grid: tuple[int, int]) -> Tensor:
        if maps.shape[-2:] == grid:
            return maps
        return F.interpolate(maps, grid, mode="bilinear", align_corners=self.on_corners)

    def _prune(self, network: Any) -> None:
        network.prune_intermediate_layers(self.levels, prune_norm=not self.plain, prune_head=True)


@described
def timm_backbone(
    *, name: str, weights: str | None, class_token: ClassToken, mean: Sequence[float], std: Sequence[float]
) -> TimmBackbone:
    """A `TimmBackbone`. `weights`: a file of its state dict, "pretrained" for timm's own, or None (random).

    Raises:
        InputError: see the class; or the weights cannot be had, do not fit, or expect other statistics.
    """
    network = TimmBackbone(name, class_token=class_token, mean=mean, std=std)
    if weights is not None:
        state = _download(name) if weights == PRETRAINED else _read(weights, network)
        load_weights(network.network, state, source=f"timm's {name}" if weights == PRETRAINED else weights)
        _check_mean(network, published=weights == PRETRAINED)
    freeze(network)
    return network


def create(name: str, **options: int | bool) -> Any:
    """timm's network without its classifier, for images of any size where it can.

    Raises:
        InputError: timm is not installed, or has no such model; the nearest names are told.
    """
    timm = _timm()
    if not timm.is_model(name):
        near = difflib.get_close_matches(name.partition(".")[0], timm.list_models(), n=3)
        raise InputError(
            f"timm has no model {name}: {'take ' + ' or '.join(near) if near else 'take one'} of timm.list_models()."
        )
    try:
        return timm.create_model(name, num_classes=0, dynamic_img_size=True, **options)
    except TypeError as error:
        if "dynamic_img_size" not in str(error):
            raise
        return timm.create_model(name, num_classes=0, **options)


def _timm() -> Any:
    try:
        import timm
    except ImportError:
        raise InputError("backbone=timm needs timm: pip install 'wsss-lightning[timm]'.") from None
    return timm


def _read(weights: str, network: TimmBackbone) -> State:
    if not Path(weights).is_file():
        raise InputError(f"There is no file {weights}: give one, {PRETRAINED} or null as backbone.weights.")
    return rename_keys(read_state_file(Path(weights)), network.network)


def _download(name: str) -> State:
    try:
        network = _timm().create_model(name, pretrained=True, num_classes=0)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"timm's weights of {name} could not be had ({reason}): give a file as backbone.weights=FILE, or take "
            "random ones with backbone.weights=null."
        ) from None
    return dict(network.state_dict())


def _check_mean(network: TimmBackbone, *, published: bool) -> None:
    """timm's own weights come with statistics; those of a file are its owner's to know."""
    own = network.network.pretrained_cfg
    mean, std = (tuple(own[key]) for key in ("mean", "std"))
    if (mean, std) == (network.mean, network.std):
        return
    remedy = f"set 'backbone.mean={list(mean)}' 'backbone.std={list(std)}'"
    if published:
        raise InputError(f"timm's weights of {network.name} expect other RGB statistics: {remedy}.")
    log.warning(
        "timm's own weights of %s have other RGB statistics: if the file's are these, %s.", network.name, remedy
    )


def _quarters(blocks: int) -> list[int]:
    count = min(_MAPS_OF_VIT, blocks)
    return [blocks * (part + 1) // count - 1 for part in range(count)]


def _resized(images: Tensor, period: int, *, rest: int = 0) -> Tensor:
    """Images of the nearest size whose edges are `rest` more than a multiple of `period`."""
    size = Edges(period, rest).nearest((images.shape[-2], images.shape[-1]))
    return images if images.shape[-2:] == size else F.interpolate(images, size, mode="bilinear", antialias=True)


def _look_at_corners(network: nn.Module) -> bool:
    """Whether the cells of all strides look at every second pixel from the first on; patches cover areas instead."""
    kinds = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
    layers = [each for name, each in network.named_modules() if isinstance(each, kinds) and "downsample" not in name]
    return all(_centred(layer) for layer in layers if _first(layer.stride) > 1)


def _centred(layer: nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d) -> bool:
    kernel, padding = _first(layer.kernel_size), layer.padding
    return kernel % 2 == 1 and not isinstance(padding, str) and _first(padding) == kernel // 2


def _first(value: Any) -> int:
    return int(value[0] if isinstance(value, Sequence) else value)
