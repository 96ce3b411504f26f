"""The point classifier: a per-location network trained on sampled points (points sec. 3.3 and 4.1)."""

from collections.abc import Sequence

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wsss_lightning.nn.hypercolumns import Size, Standardisation, linear_on_maps


class PointClassifier(nn.Module):
    """Hypercolumn and global vector -> 512 units -> ReLU -> L labels, with a receptive field of one location.

    `statistics` hands raw features on unless it is enabled; `global_size`: G, 0 for none.
    """

    def __init__(self, *, statistics: Standardisation, global_size: int, hidden: int, num_labels: int) -> None:
        super().__init__()
        self.statistics = statistics
        self.local = nn.Linear(len(statistics.mean), hidden)
        self.whole = nn.Linear(global_size, hidden, bias=False) if global_size else None
        self.out = nn.Linear(hidden, num_labels)

    def forward(self, rows: Tensor, pooled: Tensor) -> Tensor:
        """Points (P, D) and their images' global vectors (P, G) -> logits (P, L)."""
        hidden = self.local(self.statistics(rows))
        hidden = hidden if self.whole is None else hidden + self.whole(pooled)
        return self.out(torch.relu(hidden))  # type: ignore[no-any-return]

    def on_image(self, maps: Sequence[Tensor], pooled: Tensor, grid: Size) -> Tensor:
        """Logits of every location of one image: maps (1, D_l, h_l, w_l), pooled (1, G) -> (L, *grid)."""
        starts = [sum(m.shape[1] for m in maps[:index]) for index in range(len(maps))]
        prepared = [self.statistics.on_map(m, start) for m, start in zip(maps, starts, strict=True)]
        hidden = linear_on_maps(prepared, self.local.weight, self.local.bias, grid)
        hidden = hidden if self.whole is None else hidden + self.whole(pooled)[:, :, None, None]
        return F.conv2d(torch.relu(hidden), self.out.weight[:, :, None, None], self.out.bias)[0]


class PointClassifierModule(pl.LightningModule):
    """Softmax loss over batches of points; Adam at a fixed rate (paper: 1e-6, momentum 0.9)."""

    def __init__(self, *, classifier: PointClassifier, rate: float) -> None:
        super().__init__()
        self.classifier = classifier
        self.learning_rate = rate

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        logits = self.classifier(batch["features"], batch["pooled"])
        loss = F.cross_entropy(logits, batch["labels"])
        self.log("train/loss", loss, batch_size=len(logits))
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.classifier.parameters(), lr=self.learning_rate, fused=True)
