"""Names that functions had before they moved: keys hold the old ones, so that a move orphans no finished result."""

# Today's dotted name of a module, class or function -> the name that keys know it by.
MOVED: dict[str, str] = {}


def keyed_target(target: str) -> str:
    """The name under which keys know `target`; the longest part of it that has moved decides."""
    return renamed(target, MOVED)


def renamed(target: str, names: dict[str, str]) -> str:
    """`target` with its longest beginning that stands in `names` replaced: the whole of it, else its module."""
    head, rest = target, ""
    while head:
        if head in names:
            return names[head] + rest
        head, dot, last = head.rpartition(".")
        rest = f"{dot}{last}{rest}"
    return target
