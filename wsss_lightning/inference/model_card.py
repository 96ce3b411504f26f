"""The model card, README.md of a shared folder: what the record knows, so that nobody has to type it."""

from collections.abc import Mapping
from typing import Any

_USE = """## Use

```python
import wsss_lightning

result = wsss_lightning.load("FOLDER").predict("photo.jpg")
result.mask           # (H, W) labels
result.probabilities  # (L, H, W)
result.picture        # a PIL image: photograph, labels, names
```

or `wsss predict FOLDER photo.jpg --out labelled`. From the hub:
`wsss_lightning.inference.hub.HubModel.from_pretrained("USER/NAME").predict("photo.jpg")`, with
`pip install 'wsss-lightning[hub]'`.
"""


def model_card(description: Mapping[str, Any]) -> str:
    """Markdown with the metadata that hubs read, of a description (`export.describe_model`)."""
    inputs, card = description["inputs"], description.get("card", {})
    provenance = dict(description.get("provenance", {}))
    metrics = provenance.pop("metrics", {})
    target = description["module"]["_target_"]
    images = {"mean": inputs["mean"], "std": inputs["std"], "size": inputs["size"] or "own size"}
    parts = [
        "---\nlibrary_name: wsss-lightning\npipeline_tag: image-segmentation\n"
        "tags:\n- weakly-supervised-semantic-segmentation\n---\n",
        f"# {target.rpartition('.')[2]}\n\nLabels every pixel of an image: background"
        f" or one of {len(inputs['class_names'])} classes. Built by `{target}` of wsss_lightning.\n",
        "## Classes\n\n" + ", ".join(["background", *inputs["class_names"]]) + "\n",
        _section("Supervision", card),
        _section("Images", images),
        _section("Logged in training", metrics),
        _section("Provenance", provenance),
        _USE,
    ]
    return "\n".join(part for part in parts if part)


def _section(title: str, content: Mapping[str, Any]) -> str:
    lines = "\n".join(f"- {name}: {_text(value)}" for name, value in content.items())
    return f"## {title}\n\n{lines}\n" if content else ""


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {each}" for name, each in value.items() if not str(name).startswith("_"))
    return "none" if value is None else str(value)
