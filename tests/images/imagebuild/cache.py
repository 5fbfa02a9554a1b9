"""Where built things are kept, and what keys them."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
CACHE = (
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    / "flagsmith-operator"
    / "images"
)
# An archive of the same image with another key may be in use by another checkout
# for as long as one test run lasts; after a day nobody reads it any more.
STALE_ARCHIVE_SECONDS = 24 * 3600
# Layers save the minutes of a cold build; a week bridges those in which nothing changes.
STALE_PART_SECONDS = 7 * 24 * 3600
KEY_LENGTH = 16


def progress(message: str) -> None:
    """Say what is being done; stdout is kept for the archives' paths."""
    print(f"images: {message}", file=sys.stderr, flush=True)


def key(*parts: str | Path) -> str:
    """Return a short content hash: strings as they are, paths by what is in them."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            for file in files_below(part):
                digest.update(f"{file.relative_to(part.parent)}\0{file.stat().st_mode:o}\0".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
        else:
            digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:KEY_LENGTH]


def files_below(path: Path) -> list[Path]:
    """Return the file itself, or all files below a folder, sorted; no byte code."""
    if path.is_file():
        return [path]
    return sorted(f for f in path.rglob("*") if f.is_file() and "__pycache__" not in f.parts)


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Let one build at a time write to the cache; the kernel frees the lock of a dead one."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / ".lock", "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another build to finish")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def forget_stale_archives(name: str, keep: Path) -> None:
    """Remove archives of an image that other inputs made and nobody used for a day."""
    for other in CACHE.glob(f"{name}-*.tar"):
        suffix = other.name.removeprefix(f"{name}-").removesuffix(".tar")
        same_image = len(suffix) == KEY_LENGTH and "-" not in suffix
        if same_image and other != keep and _unused_for(other) > STALE_ARCHIVE_SECONDS:
            other.unlink(missing_ok=True)


def forget_stale_parts() -> None:
    """Remove layers and binaries that no build used for a week, and what a killed build left. Needs the lock."""
    for folder in ("layers", "blobs", "bin"):
        for part in (CACHE / folder).glob("*"):
            if _unused_for(part) > STALE_PART_SECONDS:
                part.unlink(missing_ok=True)
    for left in [*CACHE.glob(".tree-*"), *(CACHE / "rootfs").glob(".*")]:
        shutil.rmtree(left, ignore_errors=True)


def _unused_for(path: Path) -> float:
    return time.time() - path.stat().st_mtime
