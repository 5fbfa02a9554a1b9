"""Writes OCI image layers and archives with the standard library alone.

Format: https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
"""

import gzip
import hashlib
import io
import json
import os
import platform
import tarfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from .cache import CACHE

# Everything in a layer has this time, so that the same files give the same digest.
EPOCH = 1_700_000_000
GZIP_LEVEL = 6
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Layer:
    """A stored layer: digests of the compressed and of the plain tar, compressed size in bytes."""

    digest: str
    diff_id: str
    size: int


@dataclass(frozen=True)
class Owner:
    """Owner and mode of a path in a layer that differ from root's and the file's own."""

    uid: int = 0
    gid: int = 0
    mode: int | None = None


def blob_path(digest: str) -> Path:
    return CACHE / "blobs" / digest.replace(":", "-")


def pack(tree: Path, owners: dict[str, Owner], skip: Callable[[str], bool] = lambda _: False) -> Layer:
    """Store a folder as a layer: all owned by root but for `owners`, paths where `skip` is left out."""

    def normalise(member: tarfile.TarInfo) -> tarfile.TarInfo:
        owner = owners.get(member.name, Owner())
        member.uid, member.gid = owner.uid, owner.gid
        member.uname = member.gname = ""
        member.mtime = EPOCH
        if owner.mode is not None:
            member.mode = owner.mode
        return member

    plain = hashlib.sha256()
    temporary = CACHE / "blobs" / f".{os.getpid()}.layer"
    temporary.parent.mkdir(parents=True, exist_ok=True)
    with open(temporary, "wb") as raw:
        with gzip.GzipFile(filename="", mode="wb", compresslevel=GZIP_LEVEL, fileobj=raw, mtime=0) as zipped:
            tee = _Tee(zipped, plain)
            with tarfile.open(fileobj=tee, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                for path in _walk(tree, skip):
                    name = str(path.relative_to(tree))
                    tar.add(path, arcname=name, recursive=False, filter=normalise)
    digest = "sha256:" + hashlib.sha256(temporary.read_bytes()).hexdigest()
    layer = Layer(digest, "sha256:" + plain.hexdigest(), temporary.stat().st_size)
    temporary.replace(blob_path(digest))
    return layer


def _walk(tree: Path, skip: Callable[[str], bool]) -> list[Path]:
    found: list[Path] = []
    for folder, names, files in os.walk(tree):
        names.sort()
        keep = []
        for name in names:
            path = Path(folder) / name
            if skip(str(path.relative_to(tree))):
                continue
            found.append(path)
            if not path.is_symlink():
                keep.append(name)
        names[:] = keep
        found += [p for p in (Path(folder) / f for f in files) if not skip(str(p.relative_to(tree)))]
    return sorted(found)


class _Tee(io.RawIOBase):
    """Passes what is written on, and hashes it."""

    def __init__(self, out: gzip.GzipFile, digest: "hashlib._Hash") -> None:
        self.out, self.digest = out, digest

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.digest.update(data)
        return self.out.write(data)


def write_archive(target: Path, image: str, config: dict[str, object], layers: list[Layer]) -> None:
    """Write an OCI archive of one image, moved into place only when whole.

    `image` is the full name with tag; containerd takes it from the annotation.
    """
    document = json.dumps(
        {
            "architecture": ARCHITECTURES[platform.machine()],
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        },
        sort_keys=True,
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _descriptor(CONFIG_TYPE, document),
            "layers": [{"mediaType": LAYER_TYPE, "digest": x.digest, "size": x.size} for x in layers],
        },
        sort_keys=True,
    ).encode()
    annotations = {"io.containerd.image.name": image, "org.opencontainers.image.ref.name": image}
    index = {
        "schemaVersion": 2,
        "manifests": [{**_descriptor(MANIFEST_TYPE, manifest), "annotations": annotations}],
    }
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    with tarfile.open(temporary, "w") as tar:
        _add(tar, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(tar, "index.json", json.dumps(index, sort_keys=True).encode())
        for blob in (manifest, document):
            _add(tar, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)
        for layer in {x.digest: x for x in layers}.values():
            tar.add(blob_path(layer.digest), arcname=f"blobs/sha256/{layer.digest.removeprefix('sha256:')}")
    temporary.replace(target)


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": "sha256:" + hashlib.sha256(blob).hexdigest(), "size": len(blob)}


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime = len(data), EPOCH
    tar.addfile(member, io.BytesIO(data))


def load_layer(record: Path) -> Layer | None:
    """Return a layer stored before, if both its record and its blob are still there."""
    if record.is_file():
        layer = Layer(**json.loads(record.read_text()))
        if blob_path(layer.digest).is_file():
            record.touch()
            blob_path(layer.digest).touch()
            return layer
    return None


def save_layer(record: Path, layer: Layer) -> None:
    record.parent.mkdir(parents=True, exist_ok=True)
    temporary = record.with_name(f".{record.name}.{os.getpid()}")
    temporary.write_text(json.dumps(asdict(layer)))
    temporary.replace(record)
