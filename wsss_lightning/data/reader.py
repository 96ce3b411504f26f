"""What data sets differ in: how a list becomes records, and what the indices of masks mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from wsss_lightning.data.labels import LabelMap
from wsss_lightning.data.names import doubtful_names
from wsss_lightning.data.samples import Record
from wsss_lightning.data.tags import TagSource

Split = Literal["train", "val", "test"]


class Reader(ABC):
    """One data set as it lies on disk; `data.base.SegmentationDataModule` makes samples and loaders of it.

    Args:
        root: the data set's folder.
        names: all its foreground classes, in the order of their mask indices 1, 2, ...
        tags: where image tags come from; which sources there are is the subclass's matter.
    """

    has_background_images: ClassVar[bool] = False  # whether images without a tag are meant to be there

    def __init__(self, root: Path | str, *, names: Sequence[str], tags: str) -> None:
        self.root, self.names, self.tags = Path(root), tuple(names), tags

    @abstractmethod
    def read_records(self, list_name: str, *, tagged: bool) -> list[Record]:
        """Records of a list, with tags over all `names`: the one thing that every data set defines.

        Not `tagged`: no annotation is looked at, tags are all False (a test list, whose annotations nobody has).
        """

    def tag_source(self) -> TagSource | None:
        """Tags over all `names` by image id where they lie apart from the lists; None where a list has its own."""
        return None

    def listed(self, list_name: str) -> list[Record]:
        """Records of a list without a look at its annotations, which may be all False."""
        return self.read_records(list_name, tagged=False)

    def warnings(self, lists: Sequence[str]) -> list[str]:  # noqa: ARG002
        """Sentences about what is doubtful, `lists` being in use: class names, files that meet no image or no list.

        Raises:
            InputError: a list or an annotation is at fault.
        """
        return doubtful_names(self.names)

    def shapeless(self, lists: Sequence[str]) -> list[str]:  # noqa: ARG002
        """Sentences about objects that no outline is given of, in lists that were read."""
        return []

    def default_list(self, split: Split) -> str:
        """Name of the list that a split has where none is given."""
        return split

    def label_map(self, kept: Sequence[str], lists: Sequence[str]) -> LabelMap:  # noqa: ARG002
        """Between the indices of the masks of `lists` and labels of the `kept` classes."""
        return LabelMap(self.names, tuple(kept))

    @property
    def known_counts(self) -> Mapping[str, int]:
        """How many images the published lists have, by list name; a list that is not in it may have any number."""
        return {}

    @property
    def tags_source(self) -> str:
        """Which source the tags come from; results name it, because XML and masks give different tags."""
        return self.tags
