"""What one training image costs the points method: features, a step of its localizers, its points (points sec. 4.1)."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from measurement import Row, Task, measure, operations, peak_bytes, timed
from points_classifier import stored_features
from torch import Tensor, nn

from wsss_lightning.methods.points.localizer_module import LocalizerModule
from wsss_lightning.methods.points.samplers import Diverse, Evidence, Points
from wsss_lightning.methods.points.similarity import ColumnSimilarity
from wsss_lightning.methods.points.stages.features import FeatureStore
from wsss_lightning.nn.backbones import Features, freeze
from wsss_lightning.nn.hypercolumns import Size, Standardisation, assemble, compact
from wsss_lightning.nn.vgg import VGG
from wsss_lightning.ops.resize import resize_maps
from wsss_lightning.stages.fit import quiet

_STRIDE = 4  # sec. 4.1
_CLASSES = torch.tensor([3, 7])  # two of the 20


def images(network: VGG, *, size: Size, hidden: int, k: int, rounds: int) -> Row:
    """Measure everything on one picture of noise, `size` pixels; `hidden`: of a localizer; `k`: points per class."""
    torch.manual_seed(0)
    _spread(network)
    image = resize_maps(torch.randn(1, 3, size[0] // 8, size[1] // 8), size)
    grid = (size[0] // _STRIDE, size[1] // _STRIDE)
    with TemporaryDirectory() as folder, quiet():
        store = FeatureStore(Path(folder))
        store.write("train", "image", network.features(image), grid, half=True)
        store.write_grid(grid)
        store.write_statistics("train", ["image"])
        sampling = _Sampling(store, grid, k)
        tasks = {**_features(network, image, store, grid), **_localizers(store, grid, hidden), **sampling.tasks()}
        rows, limits = measure(tasks, rounds=rounds)
    return {"grid": grid, "rows": rows, "limits": limits, "sampling": sampling.verdict(rows)}


def _spread(network: VGG) -> None:
    """He initialisation: with torch's default the deep maps fade to constants, unlike those of a trained network."""
    for layer in [*network.convolutions, network.fc6, network.fc7]:
        assert isinstance(layer, nn.Conv2d) and layer.bias is not None
        nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(layer.bias)
    freeze(network)


def _task(function: Callable[[], object], *, inputs: int, moved: int, work: int | None = None) -> Task:
    """A task that finds `inputs` bytes in memory and reads or writes `moved` bytes besides, both once."""
    return Task(
        seconds=timed(function),
        operations=operations(function) if work is None else work,
        traffic=inputs + moved,
        memory=inputs + peak_bytes(function),
    )


def _bytes(*tensors: Tensor) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def _features(network: VGG, image: Tensor, store: FeatureStore, grid: Size) -> dict[str, Task]:
    seen = network.features(image)
    small = compact(seen.maps, grid)
    used = [*network.convolutions.parameters(), *network.fc6.parameters(), *network.fc7.parameters()]
    stored = sum(m.numel() for m in small) * 2
    return {
        "features: maps and fc7": _task(
            lambda: network.features(image), inputs=_bytes(image, *used), moved=_bytes(*seen.maps, seen.pooled)
        ),
        "features: down to the grid": _task(
            lambda: compact(seen.maps, grid), inputs=_bytes(*seen.maps), moved=_bytes(*small)
        ),
        # Down to the grid, half precision, sums for the statistics, the file.
        "features: stored": _task(
            lambda: store.write("train", "again", seen, grid, half=True), inputs=_bytes(*seen.maps), moved=stored
        ),
        "features: read as float32": _task(lambda: store.read("train", "image"), inputs=stored, moved=2 * stored),
    }


def _localizers(store: FeatureStore, grid: Size, hidden: int) -> dict[str, Task]:
    """A step of two classes' localizers on one image, all maps, and Adam's, in its two implementations."""
    seen = store.read("train", "image")
    module = LocalizerModule(
        class_names=["first", "second"],
        backbone=stored_features(sum(each.shape[1] for each in seen.maps), seen.pooled.shape[1]),
        grid=grid,
        rates=[1e-4],
        steps=[1],
        hidden=hidden,
    )
    batch = {
        "maps": seen.maps,
        "pooled": seen.pooled,
        "tags": torch.tensor([[True, False]]),
        "share": torch.tensor(1.0),
    }
    weights = list(module.localizers.classes.parameters())

    def step() -> None:
        module.zero_grad()
        module.training_step(batch, 0).backward()

    step()
    size = _bytes(*weights)
    return {
        "localizers: forward and backward, 2 classes": _task(step, inputs=_bytes(*seen.maps) + size, moved=size),
        "localizers: Adam": _adam(weights, fused=False),
        "localizers: Adam(fused=True)": _adam(weights, fused=True),
    }


def _adam(weights: list[nn.Parameter], *, fused: bool) -> Task:
    """Reads weights, gradients and two moments; writes all but the gradients."""
    copies = [nn.Parameter(weight.detach().clone()) for weight in weights]
    for copy in copies:
        copy.grad = torch.randn_like(copy)
    optimizer, size = torch.optim.Adam(copies, lr=1e-4, fused=fused), _bytes(*copies)
    optimizer.step()
    return _task(optimizer.step, inputs=4 * size, moved=3 * size, work=0)


class _Sampling:
    """Eqs 3-5 on one image, with `ColumnSimilarity` and with the tensor of all hypercolumns."""

    def __init__(self, store: FeatureStore, grid: Size, k: int) -> None:
        self.seen: Features = store.read_stored("train", "image")
        self.statistics = Standardisation(*store.statistics())
        self.grid, self.k = grid, k
        self.scores = resize_maps(torch.rand(1, 2, 8, 10), grid)[0]
        self.tensor_bytes = len(self.statistics.mean) * grid[0] * grid[1] * 4

    def ours(self) -> Points:
        return self._points(ColumnSimilarity(self.seen.maps, self.grid, self.statistics))

    def textbook(self) -> Points:
        unit = self._unit_columns()
        return self._points(lambda location: unit[:, location] @ unit)

    def _unit_columns(self) -> Tensor:
        """z of all locations (D, P) in float32."""
        columns = assemble([m.float() for m in self.seen.maps], self.grid)[0].flatten(1)
        columns.sub_(self.statistics.mean[:, None]).mul_(self.statistics.scale[:, None])
        return columns.div_(columns.norm(dim=0).clamp_min_(1e-12))

    def _points(self, similarity: Callable[[int], Tensor]) -> Points:
        # Either asks once per location, as the stage does.
        evidence = Evidence(self.scores, cache(similarity), _CLASSES, peaks=torch.ones(2), seed=0)
        return Diverse(k=self.k)(evidence)

    def tasks(self) -> dict[str, Task]:
        stored, calls = _bytes(*self.seen.maps), len(self.ours().locations.unique())
        tensor, numbers = self.tensor_bytes, sum(m.numel() for m in self.seen.maps)
        return {
            # The maps are read for the lengths and once per location.
            "sampling: ColumnSimilarity": _task(
                self.ours, inputs=stored, moved=calls * stored, work=2 * calls * numbers
            ),
            "sampling: tensor of all hypercolumns": _task(
                self.textbook, inputs=stored, moved=(1 + calls) * tensor, work=2 * calls * tensor // 4
            ),
        }

    def verdict(self, rows: dict[str, Row]) -> Row:
        """How the two compare: time, memory, and the numbers themselves."""
        ours, textbook = rows["sampling: ColumnSimilarity"], rows["sampling: tensor of all hypercolumns"]
        similarity, unit = ColumnSimilarity(self.seen.maps, self.grid, self.statistics), self._unit_columns()
        points, expected = self.ours(), self.textbook()
        differences = [similarity(i) - unit[:, i] @ unit for i in points.locations.tolist()]
        return {
            "points": len(points.labels),
            "same_points": bool((points.locations == expected.locations).all()),
            "largest_difference": float(torch.stack(differences).abs().max()),
            "time_ratio": textbook["median_s"] / ours["median_s"],
            "memory_ratio": textbook["peak_bytes"] / ours["peak_bytes"],
            "tensor_bytes": self.tensor_bytes,
            "stored_bytes": _bytes(*self.seen.maps),
            "peak_over_tensor": ours["peak_bytes"] / self.tensor_bytes,
        }
