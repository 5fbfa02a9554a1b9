"""Root file systems from Debian packages, unpacked but not configured.

`mmdebstrap --variant=extract` runs no maintainer scripts, which takes seconds
instead of a minute and brings in no package manager. What those scripts would
have made and the images need (accounts, the certificate bundle, byte code) is
made here.
"""

import fnmatch
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .cache import CACHE, key, progress

SUITE = "bookworm"  # Its Python is 3.11, the oldest that flagsmith-common supports.
MIRROR = "http://deb.debian.org/debian"
SECURITY = "http://deb.debian.org/debian-security"

BASE_PACKAGES = [
    "base-files", "dash", "coreutils", "grep", "sed", "libc-bin", "ca-certificates", "netbase", "tzdata", "python3",
]
TOOLS_PACKAGES = [*BASE_PACKAGES, "postgresql-15", "libnss-wrapper", "util-linux", "curl"]

# Nothing at run time reads these. LLVM (110 MB) only serves PostgreSQL's JIT, which
# is skipped when its library is absent; perl only Debian's pg_* wrapper scripts.
UNUSED = [
    "boot/*", "dev/*", "var/cache/*", "var/lib/apt/*", "var/lib/dpkg/*", "var/log/*",
    "usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian",
    "usr/share/perl*", "usr/share/common-licenses", "usr/share/bash-completion", "usr/share/postgresql/15/man",
    "usr/share/bug", "usr/share/postgresql-common", "usr/share/pixmaps", "etc/hostname", "etc/resolv.conf",
    "usr/bin/perl*", "usr/lib/*-linux-gnu/perl*", "usr/lib/*-linux-gnu/libperl*",
    "usr/lib/*-linux-gnu/libLLVM*", "usr/lib/*-linux-gnu/libz3*", "usr/lib/llvm*",
    "usr/lib/postgresql/15/lib/bitcode", "usr/lib/postgresql/15/lib/llvmjit*",
    "usr/bin/dpkg*", "usr/share/dpkg",
    "usr/lib/python3.11/test", "usr/lib/python3.11/idlelib", "usr/lib/python3.11/ensurepip", "usr/lib/python3.11/lib2to3",
]  # fmt: skip

PASSWD = "root:x:0:0:root:/root:/bin/sh\npostgres:x:999:999::/var/lib/postgresql:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/sh\n"
GROUP = "root:x:0:\npostgres:x:999:\nnogroup:x:65534:\n"


def unused(path: str) -> bool:
    """Whether a path, relative to the root, is left out of every layer."""
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in UNUSED)


def rootfs(name: str, packages: list[str]) -> Path:
    """Return a root file system with these packages, unpacked at its first use."""
    target = CACHE / "rootfs" / f"{name}-{key(Path(__file__), SUITE, *packages)}"
    if target.is_dir():
        return target
    if os.geteuid() != 0:
        raise PermissionError("unpacking Debian packages into a root file system needs root")
    progress(f"unpacking the Debian packages of {name}")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{name}-"))
    try:
        _unpack(temporary, packages)
        _configure(temporary)
        compile_python(temporary, "/usr/lib/python3.11", "/usr/lib/python3")
        temporary.chmod(0o755)
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    for old in target.parent.glob(f"{name}-*"):
        if old != target:
            shutil.rmtree(old, ignore_errors=True)
    return target


def _unpack(target: Path, packages: list[str]) -> None:
    command = [
        "mmdebstrap", "--quiet", "--mode=root", "--variant=extract",
        "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
        f"--include={','.join(packages)}", SUITE, str(target),
        f"deb {MIRROR} {SUITE} main", f"deb {MIRROR} {SUITE}-updates main", f"deb {SECURITY} {SUITE}-security main",
    ]  # fmt: skip
    run(command)


def _configure(root: Path) -> None:
    # Device nodes: the container runtime makes its own, and copying /dev/zero never ends.
    shutil.rmtree(root / "dev")
    (root / "dev").mkdir()
    (root / "etc/passwd").write_text(PASSWD)
    (root / "etc/group").write_text(GROUP)
    (root / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    bundle = root / "etc/ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    certificates = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    bundle.write_text("".join(file.read_text() for file in certificates))
    shutil.rmtree(root / "var/run")
    (root / "var/run").symlink_to("/run")
    (root / "usr/local/bin").mkdir(parents=True, exist_ok=True)
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")


def compile_python(root: Path, *arguments: str) -> None:
    """Compile with the image's own interpreter: a read-only root cannot cache byte code."""
    command = ["chroot", str(root), "/usr/bin/python3", "-m", "compileall", "-q"]
    # Byte code that holds sets depends on the hash seed.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    run([*command, "--invalidation-mode", "unchecked-hash", *arguments], env=environment)


def compile_tree(root: Path, tree: Path) -> None:
    """Compile a folder that will be laid over `root`, by moving it in there for a moment."""
    inside = root / "build" / "tree"
    inside.parent.mkdir(exist_ok=True)
    tree.rename(inside)
    try:
        compile_python(root, "-s", "/build/tree", "-p", "/", "/build/tree")
    finally:
        inside.rename(tree)
        inside.parent.rmdir()


def run(command: list[str], **options: object) -> None:
    """Run a command, its output on stderr, and fail with it."""
    subprocess.run(command, check=True, stdout=2, stdin=subprocess.DEVNULL, **options)  # type: ignore[call-overload]
