"""The layers that images are stacked from; each is built once and shared."""

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from . import oci, rootfs
from .cache import CACHE, SOURCE, key, progress
from .oci import Layer, Owner
from .rootfs import BASE_PACKAGES, SUITE, TOOLS_PACKAGES

RELEASES: dict[str, dict[str, object]] = json.loads((SOURCE / "releases.json").read_text())
LOCK = SOURCE / "requirements.lock"
PACKAGES = "usr/local/lib/python3.11/dist-packages"
POSTGRES, NOBODY = 999, 65534
# The code that makes layers is part of what they are made from.
RECIPE = key(*(Path(__file__).parent / name for name in ("layers.py", "oci.py", "rootfs.py")))
# From this release on any uid may write to the metrics directory; before, only nobody.
SHARED_METRICS_DIRECTORY = (2, 259, 0)


def numbers(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("."))


def _layer(name: str, inputs: str, fill: Callable[[Path], dict[str, Owner]]) -> Layer:
    """Return the layer of this name and inputs; `fill` makes its files and says who owns them."""
    record = CACHE / "layers" / f"{name}-{inputs}.json"
    if (layer := oci.load_layer(record)) is None:
        progress(f"building the layer {name}")
        with _scratch() as tree:
            owners = fill(tree)
            layer = oci.pack(tree, owners, skip=rootfs.unused)
        oci.save_layer(record, layer)
    return layer


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder on the cache's own file system, so that it can be moved within it."""
    folder = Path(tempfile.mkdtemp(dir=CACHE, prefix=".tree-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def base() -> Layer:
    """Debian with Python: under every image but the frontend."""

    def fill(tree: Path) -> dict[str, Owner]:
        shutil.copytree(rootfs.rootfs("base", BASE_PACKAGES), tree, symlinks=True, dirs_exist_ok=True)
        return {"tmp": Owner(mode=0o1777)}

    return _layer("base", key(RECIPE, SUITE, *BASE_PACKAGES), fill)


def tools() -> Layer:
    """PostgreSQL server and clients, curl: what the base lacks of the bigger root file system."""

    def fill(tree: Path) -> dict[str, Owner]:
        below = rootfs.rootfs("base", BASE_PACKAGES)
        full = rootfs.rootfs("tools", TOOLS_PACKAGES)
        for folder, names, files in os.walk(full):
            relative = Path(folder).relative_to(full)
            links = [name for name in names if (Path(folder) / name).is_symlink()]
            for name in [*files, *links]:
                if not os.path.lexists(below / relative / name):
                    (tree / relative).mkdir(parents=True, exist_ok=True)
                    shutil.copy2(Path(folder) / name, tree / relative / name, follow_symlinks=False)
        # Debian puts sockets where the official image has them too; psql without its perl wrapper.
        for client in ("psql", "pg_isready", "pg_dump"):
            path = tree / "usr/bin" / client
            path.unlink(missing_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(f"/usr/lib/postgresql/15/bin/{client}")
        return {}

    return _layer("tools", key(RECIPE, SUITE, *TOOLS_PACKAGES), fill)


def postgres() -> Layer:
    """The entry point of the PostgreSQL image and the directories it uses."""

    def fill(tree: Path) -> dict[str, Owner]:
        script = tree / "usr/local/bin/docker-entrypoint.sh"
        script.parent.mkdir(parents=True)
        shutil.copy(SOURCE / "postgres/docker-entrypoint.sh", script)
        (tree / "var/lib/postgresql/data").mkdir(parents=True)
        (tree / "run/postgresql").mkdir(parents=True)
        (tree / "docker-entrypoint-initdb.d").mkdir()
        return {
            "usr/local/bin/docker-entrypoint.sh": Owner(mode=0o755),
            "var/lib/postgresql": Owner(POSTGRES, POSTGRES),
            "var/lib/postgresql/data": Owner(POSTGRES, POSTGRES, 0o1777),
            "run/postgresql": Owner(POSTGRES, POSTGRES, 0o3777),
        }

    return _layer("postgres", key(RECIPE, SOURCE / "postgres"), fill)


def libraries() -> Layer:
    """What flagsmith-common depends on; the same for every release."""

    def fill(tree: Path) -> dict[str, Owner]:
        _install(tree, ["--requirement", str(LOCK)])
        # Message catalogues in source form: 12 MB that only translators read.
        for catalogue in (tree / PACKAGES).rglob("*.po"):
            catalogue.unlink()
        rootfs.compile_tree(rootfs.rootfs("base", BASE_PACKAGES), tree)
        return {}

    return _layer("libraries", key(RECIPE, LOCK), fill)


def common(version: str) -> Layer:
    """flagsmith-common itself and its `flagsmith` command."""

    def fill(tree: Path) -> dict[str, Owner]:
        _install(tree, [f"flagsmith-common=={version}"])
        command = tree / "usr/local/bin/flagsmith"
        command.parent.mkdir(parents=True)
        command.write_text("#!/usr/bin/python3\nimport sys\n\nfrom common.core.main import main\n\nsys.exit(main())\n")
        rootfs.compile_tree(rootfs.rootfs("base", BASE_PACKAGES), tree)
        return {"usr/local/bin/flagsmith": Owner(mode=0o755)}

    return _layer(f"common-{version}", key(RECIPE, version), fill)


def operand(release: str) -> Layer:
    """The Django project of one release: the same code, with the migrations it has by then."""
    facts = RELEASES[release]

    def fill(tree: Path) -> dict[str, Owner]:
        app = tree / "app"
        shutil.copytree(SOURCE / "operand", app, ignore=shutil.ignore_patterns("__pycache__"))
        for migration in (app / "testbed/migrations").glob("[0-9]*.py"):
            if int(migration.name[:4]) > int(str(facts["last_migration"])):
                migration.unlink()
        kept = "run-docker.sh" if facts["entrypoint"] == "script" else "run-docker-shim.sh"
        scripts = app / "scripts"
        text = (scripts / kept).read_text()
        for script in scripts.iterdir():
            script.unlink()
        (scripts / "run-docker.sh").write_text(text)
        (app / ".versions.json").write_text(json.dumps({".": release}))
        (app / "CI_COMMIT_SHA").write_text("testbed\n")
        (tree / "tmp/prometheus").mkdir(parents=True)
        shared = numbers(release) >= SHARED_METRICS_DIRECTORY
        rootfs.compile_tree(rootfs.rootfs("base", BASE_PACKAGES), tree)
        return {
            "tmp": Owner(mode=0o1777),
            "tmp/prometheus": Owner(mode=0o1777) if shared else Owner(NOBODY, 0, 0o755),
            "app/scripts/run-docker.sh": Owner(mode=0o755),
            "app/manage.py": Owner(mode=0o755),
        }

    return _layer(f"operand-{release}", key(RECIPE, release, json.dumps(facts), SOURCE / "operand"), fill)


def frontend(release: str) -> Layer:
    """A static binary, an account to run as, and the release it says it is."""

    def fill(tree: Path) -> dict[str, Owner]:
        (tree / "srv/bt").mkdir(parents=True)
        (tree / "etc").mkdir()
        (tree / "tmp").mkdir()
        (tree / "etc/passwd").write_text(rootfs.PASSWD)
        (tree / "etc/group").write_text(rootfs.GROUP)
        shutil.copy(_frontend_binary(), tree / "srv/bt/frontend")
        (tree / "srv/bt/.versions.json").write_text(json.dumps({".": release}))
        (tree / "srv/bt/CI_COMMIT_SHA").write_text("testbed\n")
        return {"tmp": Owner(mode=0o1777), "srv/bt/frontend": Owner(mode=0o755)}

    return _layer(f"frontend-{release}", key(RECIPE, release, SOURCE / "frontend"), fill)


def edge_proxy() -> Layer:
    """The command of the edge proxy's image."""

    def fill(tree: Path) -> dict[str, Owner]:
        (tree / "opt/venv/bin").mkdir(parents=True)
        shutil.copy(SOURCE / "edge-proxy/edge-proxy-serve", tree / "opt/venv/bin/edge-proxy-serve")
        (tree / "app").mkdir()
        return {"opt/venv/bin/edge-proxy-serve": Owner(mode=0o755)}

    return _layer("edge-proxy", key(RECIPE, SOURCE / "edge-proxy"), fill)


def _frontend_binary() -> Path:
    target = CACHE / "bin" / f"frontend-{key(RECIPE, SOURCE / 'frontend')}"
    if not target.is_file():
        progress("compiling the frontend")
        target.parent.mkdir(exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}
        command = ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", str(temporary), "."]
        rootfs.run(command, cwd=SOURCE / "frontend", env=environment)
        temporary.replace(target)
    return target


def _install(tree: Path, what: list[str]) -> None:
    """Unpack wheels for the image's Python, whatever the host's is. No resolving: all is pinned."""
    machine = platform.machine()
    platforms = [f"manylinux2014_{machine}", f"manylinux_2_17_{machine}", f"manylinux_2_28_{machine}"]
    command = [
        "/usr/bin/python3", "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps",
        "--no-compile", "--only-binary=:all:", "--implementation=cp", "--python-version=3.11",
        "--root-user-action=ignore",
        *(f"--abi={abi}" for abi in ("cp311", "abi3", "none")),
        *(f"--platform={name}" for name in platforms),
        "--target", str(tree / PACKAGES), *what,
    ]  # fmt: skip
    rootfs.run(command)
    shutil.rmtree(tree / PACKAGES / "bin", ignore_errors=True)
