"""What other pages say of results/*.json, written between `<!-- speed: NAME -->` and `<!-- /speed -->` there.

python experiments/speed/quoted.py [--results FOLDER] [--root PROJECT]

No number there is written by hand but those of hypercolumns on disk, which depend on sizes alone.
"""

import argparse
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Found = Mapping[str, Any]  # results by program

HERE = Path(__file__).parent
SETS = {"VOC": 10_582, "COCO": 82_783, "web": 10_000_000}
DISK = {"ResNet-50": 5.93e6, "VGG-16": 14.3e6}  # bytes of an image of 256 x 336 px, by the command below the table


def scale(found: Found) -> str:
    """docs/scale.md: what an image costs, and what three data sets do."""
    lines = [
        f"| hypercolumns on disk, {name}, 256 x 336 | {_bytes(size)} | (1) | "
        + " | ".join(_bytes(size * images) for images in SETS.values())
        for name, size in DISK.items()
    ]
    lines += [
        f"| {what} | {seconds:.2f} s | `experiments/speed/{by}` | "
        + " | ".join(_time(seconds * images) for images in SETS.values())
        for what, seconds, by in an_image(found)
    ]
    head = ["work, one image", "measured", "by", "VOC, 10,582", "COCO, 82,783", "web, 10 M"]
    processors = dict.fromkeys(_processor(found[name]) for name in ("points_images", "priors", "cosegment"))
    table = [f"| {' | '.join(head)} |", "|---|---:|---|---:|---:|---:|", *(f"{line} |" for line in lines)]
    return "\n\n".join(["", "\n".join(table), f"Times are of **one core** ({' and '.join(processors)}).", ""])


def an_image(found: Found) -> list[tuple[str, float, str]]:
    """What is done with an image, its seconds on one core, and the program that measured them."""
    sampling, times, run = found["points_images"], found["priors"]["times"], found["cosegment"]["runs"][-1]
    crisp, between, crf = ("crisp boundaries, 50 eigenvectors", "regions between them", "CRF of pairs")
    return [
        (
            f"{sampling['sampling']['points']} points by diverse sampling",
            sampling["rows"]["sampling: ColumnSimilarity"]["median_s"],
            "points.py --only images",
        ),
        (
            "crisp boundaries (50 vectors) and regions",
            times[crisp]["processor_s"] + times[between]["processor_s"],
            "priors.py",
        ),
        ("dense CRF, 500 x 375 px, 21 labels", times[crf]["processor_s"], "priors.py"),
        (
            f"co-segmentation, {run['images']} a class, cuts by {run['graph_cuts']}",
            run["seconds_an_image"],
            "cosegment.py",
        ),
    ]


def manifest(found: Found) -> str:
    """docs/scale.md: what a plan of files costs beside one of two images."""
    rows = {name: row["processor_s"] for name, row in found["manifest"]["rows"].items()}
    listed, looked = (rows[name] - rows["two images"] for name in ("manifest", "files looked at"))
    return f"{listed:.1f} s more of a processor than one of two images, without a manifest {looked:.1f} s"


def priors(found: Found) -> str:
    """experiments/priors/README.md: the paper's paragraph on computation time."""
    s = {name: row["processor_s"] for name, row in found["priors"]["times"].items()}
    pairs, higher = s["CRF of pairs"], s["CRF with higher-order terms"]
    return (
        f"\n\nOn one core ({_processor(found['priors'])}), for 500 x 375 px ([priors.md](../speed/results/priors.md), "
        f"seconds of the processor): crisp boundaries\n{s['crisp boundaries']:.2f} s and the regions between them "
        f"{s['regions between them']:.2f} s (the paper's MATLAB 4.1 s), {s['crisp boundaries, 50 eigenvectors']:.2f} s "
        f"with 50 eigenvectors, the default; the CRF of pairs\n{pairs:.2f} s, with higher-order terms {higher:.2f} s "
        f"(the paper 2.1 and 2.8 s): {higher - pairs:.2f} s more, {higher / pairs:.2f} times as long. DeepLab VGG-16 "
        f"forward takes {s['network forward']:.2f} s there\n(the paper's GPU 0.06 s).\n\n"
    )


def points(found: Found) -> str:
    """experiments/points/README.md: what the classifier's training takes."""
    minutes = found["points_classifier"]["extrapolated"]["minutes"]
    return (
        f"{minutes['training: the stage, Lightning, Adam(fused=True)']:.1f} minutes on one core "
        f"({_processor(found['points_classifier'])}, extrapolated)"
    )


def coseg(found: Found) -> str:
    """experiments/coseg/README.md: what an image of a class takes."""
    run, processor = found["cosegment"]["runs"][-1], _processor(found["cosegment"])
    return (
        f"{run['seconds_an_image']:.2f} s by those of {run['graph_cuts']} on another ({processor}), in a class of "
        f"{run['images']}"
    )


PLACES = {
    "scale": ("docs/scale.md", scale),
    "manifest": ("docs/scale.md", manifest),
    "priors": ("experiments/priors/README.md", priors),
    "points": ("experiments/points/README.md", points),
    "coseg": ("experiments/coseg/README.md", coseg),
}


def quoted(name: str, text: str, words: str) -> str:
    """A page with the words between its markers of that name; raises ValueError where it does not have them once."""
    made, count = re.subn(
        rf"(<!-- speed: {name} -->).*?(<!-- /speed -->)", lambda at: at[1] + words + at[2], text, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"quoted.py: {PLACES[name][0]} has the markers of {name} {count} times.")
    return made


def write(root: Path, results: Path) -> None:
    """All places of a project."""
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in results.glob("*.json")}
    for name, (page, words) in PLACES.items():
        path = root / page
        path.write_text(quoted(name, path.read_text(encoding="utf-8"), words(found)), encoding="utf-8")


def _processor(found: Any) -> str:
    return str(found["machine"]["processor"])


def _bytes(number: float) -> str:
    unit, name = next(pair for pair in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")) if number >= pair[0])
    return f"{number / unit:.1f} {name}" if number < 20 * unit else f"{number / unit:.0f} {name}"


def _time(seconds: float) -> str:
    hours = seconds / 3600
    if hours < 1:
        return f"{hours:.2f} h"
    return f"{hours:.1f} h" if hours < 10 else f"{hours:.0f} h" if hours < 100 else f"{hours / 24:.0f} days"


def main(arguments: list[str]) -> None:
    """Write all places."""
    parser = argparse.ArgumentParser(description="What other pages say of speed results.")
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--root", type=Path, default=HERE.parents[1], help="of the project")
    options = parser.parse_args(arguments)
    write(options.root, options.results)


if __name__ == "__main__":
    main(sys.argv[1:])
