"""Sentences without which a figure would mislead; they stand in every output."""

from __future__ import annotations

from collections.abc import Sequence

from wsss_lightning.scoring.predictions import Predictions

_SHOWN = 5  # names that are written out of a long list


def first_names(names: Sequence[str]) -> str:
    """The first few of many names."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def missing(predictions: Predictions) -> list[str]:
    """Which images have no prediction."""
    names, scored = predictions.missing, len(predictions.predicted)
    return _if(names, f"Partial: {scored:,} of {len(names) + scored:,} images are scored; without a prediction")


def unused(predictions: Predictions) -> list[str]:
    """Which files of the folder nobody asked for."""
    names = predictions.unused
    return _if(names, f"Files that belong to no image of the list are not used, {len(names):,} in all")


def labels(count: int, total: int, absent: Sequence[str]) -> list[str]:
    """Over which labels a mean is: `count` of the data set's `total`, background included, without `absent`."""
    kept = f"Scored on {count} of the data set's {total} labels: not comparable with figures on all of them."
    return [
        *([kept] if count < total else []),
        *_if(absent, f"Mean over {count - len(absent)} of {count} labels; in neither truth nor prediction"),
    ]


def background_alone(pixels: Sequence[int], ignored: int) -> list[str]:
    """That nothing but background is scored: `pixels` of each true label, and how many are ignored."""
    told = (
        f"The truth has no pixel of any class: background alone is scored, and {ignored:,} pixels of 255 are ignored."
    )
    return [told] if ignored and not any(pixels[1:]) else []


def threshold_choice(value: float, sweep: Sequence[float], *, where: str) -> str:
    """How the background threshold was chosen: among `sweep`, or given where that is empty."""
    if not sweep:
        return f"The background threshold {value:g} was given."
    chosen = f"The background threshold {value:.2f} was chosen on these very masks, {where}"
    edge = ", and is the last that was tried: a higher one may be better" if value == sweep[-1] else ""
    return f"{chosen}, as the best of {len(sweep)} from {sweep[0]:.2f} to {sweep[-1]:.2f}{edge}."


def maps(as_tagged: int, images: int, left_out: int, *, source: str) -> list[str]:
    """Which classes had a map: what uses an image's true tags has seen more than the image."""
    return [
        f"In {as_tagged:,} of {images:,} images the classes that have a map are the image's true tags ({source}).",
        *([f"Maps of classes that are not among the labels took no part: {left_out:,}."] if left_out else []),
    ]


def _if(names: Sequence[str], sentence: str) -> list[str]:
    return [f"{sentence}: {first_names(names)}."] if names else []
