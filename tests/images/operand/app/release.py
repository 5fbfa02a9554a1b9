"""Which release this image is."""

import json
from pathlib import Path


def release() -> tuple[int, ...]:
    """Return the image's version as numbers, e.g. (2, 265, 0)."""
    manifest = json.loads((Path(__file__).parent.parent / ".versions.json").read_text())
    return tuple(int(part) for part in manifest["."].split("."))
