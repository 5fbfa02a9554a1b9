"""Runs the checks, two at a time, and says which failed."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from imagebuild.cache import CACHE
from imagebuild.layers import RELEASES

from . import checks, trouble
from .container import CONTAINER_PREFIX, Runtime

FOLDER_PREFIX = ".selftest-"
PARALLEL = 2  # As many as the cores of the smallest machine this runs on.


def main(releases: list[str]) -> int:
    if unknown := set(releases) - set(RELEASES):
        print(f"selftest: no such release: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    # So that containers and mounts go also when the run is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    remove_leftovers(CACHE)
    folder = Path(tempfile.mkdtemp(dir=CACHE, prefix=f"{FOLDER_PREFIX}{os.getpid()}-"))
    folder.chmod(0o755)
    runtime = Runtime(folder)
    try:
        failed = run_all(runtime, releases or list(RELEASES))
    finally:
        runtime.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"failed: {', '.join(failed)}" if failed else "all passed")
    return 1 if failed else 0


def run_all(runtime: Runtime, releases: list[str]) -> list[str]:
    """Run every check and return the names of those that failed."""
    failed: list[str] = []

    def run(name: str, check: Callable[[], None]) -> None:
        started = time.monotonic()
        try:
            check()
            verdict = "ok"
        except Exception as error:
            failed.append(name)
            verdict = f"FAILED: {type(error).__name__}: {error}"
        print(f"{name}: {verdict} ({time.monotonic() - started:.0f} s)", flush=True)

    database = checks.Database(runtime)
    run("postgres", lambda: checks.postgres(database))
    # The longest first, so that both lanes end together.
    stories: list[tuple[str, Callable[[], None]]] = [
        ("views", lambda: trouble.views(database)),
        ("upgrade", lambda: checks.upgrade(database)),
        ("tasks", lambda: trouble.tasks(database)),
        ("migrations", lambda: trouble.migrations(database)),
        *((f"release {x}", lambda x=x: checks.release_story(database, x)) for x in releases),  # type: ignore[misc]
        ("separate database", lambda: trouble.separate_database(database)),
        *((f"frontend {x}", lambda x=x: checks.frontend(runtime, x)) for x in releases),  # type: ignore[misc]
        ("edge proxy", lambda: checks.edge_proxy(runtime)),
        ("toolbox", lambda: checks.toolbox(runtime)),
    ]
    pool = ThreadPoolExecutor(PARALLEL)
    try:
        futures = [pool.submit(run, *story) for story in stories]
        for future in futures:
            future.result()
    except BaseException:
        # Without containers the checks that run end at once; those that wait never start.
        pool.shutdown(wait=False, cancel_futures=True)
        runtime.close()
        raise
    finally:
        pool.shutdown()
    return failed


def remove_leftovers(parent: Path) -> None:
    """Remove containers, mounts and folders of runs that were killed and could not do it themselves."""
    listed = subprocess.run(["runc", "list", "--quiet"], check=True, capture_output=True, text=True).stdout
    for container in listed.split():
        if container.startswith(CONTAINER_PREFIX) and _run_ended(container.removeprefix(CONTAINER_PREFIX)):
            subprocess.run(["runc", "delete", "--force", container], check=False)
    for folder in parent.glob(f"{FOLDER_PREFIX}*"):
        if _run_ended(folder.name.removeprefix(FOLDER_PREFIX)):
            for root in folder.glob("*/root"):
                subprocess.run(["umount", "-l", root], check=False, stderr=subprocess.DEVNULL)
            shutil.rmtree(folder, ignore_errors=True)


def _run_ended(name: str) -> bool:
    """Whether the process that a name starts with is gone."""
    return not Path("/proc", name.split("-")[0]).exists()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
