"""Containers as restricted pods see them: runc on overlay mounts of an image's layers."""

import ctypes
import http.client
import json
import os
import signal
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from imagebuild.catalogue import Image

CLONE_NEWNET = 0x40000000
NOBODY = 65534
CONTAINER_PREFIX = "imagetest-"
# Starting Python and Django takes 2 s of CPU; several do it at once on two cores.
START_SECONDS = 60.0
STOP_SECONDS = 30.0
_libc = ctypes.CDLL(None, use_errno=True)


class Runtime:
    """A folder for everything that the containers of one run need, removed at its end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.prefix = f"{CONTAINER_PREFIX}{os.getpid()}"
        self.containers: list[Container] = []
        self._mounts: list[Path] = []
        self._images: dict[str, tuple[str, dict[str, object]]] = {}
        self._lock = threading.Lock()
        self._closed = False

    def unpack(self, image: Image) -> tuple[str, dict[str, object]]:
        """Return the folders of the image's layers for overlayfs, and its config; each is unpacked once."""
        with self._lock:
            if image.name not in self._images:
                with tarfile.open(image.archive()) as tar:
                    index = json.load(_member(tar, "index.json"))
                    manifest = json.load(_blob(tar, index["manifests"][0]["digest"]))
                    config = json.load(_blob(tar, manifest["config"]["digest"]))["config"]
                    lower = [self._layer(tar, layer["digest"]) for layer in manifest["layers"]]
                self._images[image.name] = (":".join(map(str, reversed(lower))), config)
            return self._images[image.name]

    def mount(self, lower: str, bundle: Path) -> Path:
        """Mount a root. It has an upper folder, as in a cluster, for the mount points; the container sees it read-only."""
        for name in ("root", "upper", "work"):
            (bundle / name).mkdir()
        options = f"lowerdir={lower},upperdir={bundle / 'upper'},workdir={bundle / 'work'}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, bundle / "root"], check=True)
        self._mounts.append(bundle / "root")
        return bundle / "root"

    def _layer(self, tar: tarfile.TarFile, digest: str) -> Path:
        target = self.folder / digest.removeprefix("sha256:")[:16]
        if not target.exists():
            target.mkdir()
            with tarfile.open(fileobj=_blob(tar, digest), mode="r|gz") as layer:
                layer.extractall(target, numeric_owner=True)
        return target

    def run(self, image: Image, args: Sequence[str] | None = None, **options: object) -> "Container":
        """Start a container; `args` replace the image's command, as in a pod."""
        lower, config = self.unpack(image)
        with self._lock:
            if self._closed:
                raise RuntimeError("the run is ending")
            container = Container(self, len(self.containers), lower, config, args, **options)  # type: ignore[arg-type]
            self.containers.append(container)
        return container

    def close(self) -> None:
        """Kill what still runs and unmount; also after a failure."""
        with self._lock:
            self._closed = True
            for container in self.containers:
                container.kill()
            while self._mounts:
                subprocess.run(["umount", "-l", self._mounts.pop()], check=False)


class Container:
    """A running or ended container, its output in a file."""

    def __init__(
        self,
        runtime: Runtime,
        number: int,
        lower: str,
        config: dict[str, object],
        args: Sequence[str] | None,
        *,
        command: Sequence[str] | None = None,
        env: dict[str, str] | None = None,
        uid: int = NOBODY,
        writable: Sequence[str] = ("/tmp", "/tmp/prometheus"),
        binds: dict[str, Path] | None = None,
    ) -> None:
        self.id = f"{runtime.prefix}-{number}"
        bundle = runtime.folder / self.id
        bundle.mkdir()
        root = runtime.mount(lower, bundle)
        self.log_file = bundle / "log"
        self._pid_file = bundle / "pid"
        if command is not None:
            argv = [*command, *(args or [])]
        else:
            argv = [*config.get("Entrypoint", []), *(config.get("Cmd", []) if args is None else args)]  # type: ignore[misc]
        self.argv = argv
        environment = [*config.get("Env", []), *(f"{k}={v}" for k, v in (env or {}).items())]  # type: ignore[misc]
        specification = _specification(root, argv, environment, str(config.get("WorkingDir", "/")), uid, writable, binds or {})
        (bundle / "config.json").write_text(json.dumps(specification))
        command_line = ["runc", "run", "--bundle", str(bundle), "--pid-file", str(self._pid_file), self.id]
        self._process = subprocess.Popen(
            command_line, stdout=self.log_file.open("wb"), stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )

    @property
    def log(self) -> str:
        """What it has written; runc copies it, so a line may come after the answer that it belongs to."""
        return self.log_file.read_text(errors="replace")

    def wait(self, seconds: float = START_SECONDS) -> int:
        """Return the exit status."""
        return self._process.wait(seconds)

    def running(self) -> bool:
        return self._process.poll() is None

    def signal(self, name: str) -> None:
        subprocess.run(["runc", "kill", self.id, name], check=True)

    def stop(self) -> int:
        self.signal("TERM")
        return self.wait(STOP_SECONDS)

    def kill(self) -> None:
        if self.running():
            subprocess.run(["runc", "kill", self.id, "KILL"], check=False, stderr=subprocess.DEVNULL)
            try:
                self.wait(5)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGKILL)
        subprocess.run(["runc", "delete", "--force", self.id], check=False, stderr=subprocess.DEVNULL)

    def execute(self, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as `kubectl exec` does."""
        settings = [item for key, value in env.items() for item in ("--env", f"{key}={value}")]
        return subprocess.run(["runc", "exec", *settings, self.id, *argv], capture_output=True, text=True, timeout=60)

    def request(self, method: str, path: str, port: int = 8000, **headers: str) -> tuple[int, str, dict[str, str]]:
        """Send a request inside the container's network: status, body, headers. No connection is an OSError."""
        answer: list[tuple[int, str, dict[str, str]]] = []
        trouble: list[BaseException] = []

        def inside() -> None:
            # Only this thread changes its network namespace.
            try:
                with open(f"/proc/{self._pid_file.read_text()}/ns/net") as namespace:
                    if _libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                        raise OSError(ctypes.get_errno(), "setns")
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
                response = connection.getresponse()
                answer.append((response.status, response.read().decode(), dict(response.getheaders())))
            except BaseException as error:
                trouble.append(error)

        thread = threading.Thread(target=inside)
        thread.start()
        thread.join()
        if trouble:
            raise trouble[0]
        return answer[0]

    def await_http(self, path: str, port: int = 8000) -> None:
        """Wait until something answers; fail with the log when the container ends first."""

        def answers() -> bool:
            if not self.running():
                raise AssertionError(f"{self.argv} ended with {self.wait()}:\n{self.log[-3000:]}")
            try:
                return self.request("GET", path, port)[0] == 200
            except (OSError, http.client.HTTPException):
                return False

        eventually(f"{self.argv} answers {path}", answers)


def eventually(what: str, holds: Callable[[], bool], seconds: float = START_SECONDS) -> None:
    """Wait until it holds, or fail saying what did not."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.25)


def _member(tar: tarfile.TarFile, name: str) -> "tarfile.ExFileObject":
    handle = tar.extractfile(name)
    assert handle is not None, name
    return handle  # type: ignore[return-value]


def _blob(tar: tarfile.TarFile, digest: str) -> "tarfile.ExFileObject":
    return _member(tar, "blobs/" + digest.replace(":", "/"))


def _specification(
    root: Path,
    argv: list[str],
    environment: list[str],
    folder: str,
    uid: int,
    writable: Sequence[str],
    binds: dict[str, Path],
) -> dict[str, object]:
    def mount(target: str, kind: str, source: str, *options: str) -> dict[str, object]:
        return {"destination": target, "type": kind, "source": source, "options": list(options)}

    empty: list[str] = []
    return {
        "ociVersion": "1.0.2",
        "root": {"path": str(root), "readonly": True},
        "process": {
            "terminal": False,
            "user": {"uid": uid, "gid": uid},
            "args": argv,
            "env": environment,
            "cwd": folder,
            "noNewPrivileges": True,
            "capabilities": {kind: empty for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")},
        },
        "mounts": [
            mount("/proc", "proc", "proc"),
            mount("/dev", "tmpfs", "tmpfs", "nosuid", "mode=755", "size=65536k"),
            mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
            *(mount(path, "tmpfs", "emptydir", "mode=0777") for path in writable),
            *(mount(path, "bind", str(source), "rbind", "rw") for path, source in binds.items()),
        ],
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]},
    }
