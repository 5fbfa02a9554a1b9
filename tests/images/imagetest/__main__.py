"""Runs the checks, two at a time, and says which failed."""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from imagebuild.cache import CACHE
from imagebuild.layers import RELEASES

from . import checks, trouble
from .container import Runtime

PARALLEL = 2  # As many as the cores of the smallest machine this runs on.


def main(releases: list[str]) -> int:
    if unknown := set(releases) - set(RELEASES):
        print(f"selftest: no such release: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(dir=CACHE, prefix=".selftest-"))
    folder.chmod(0o755)
    runtime = Runtime(folder)
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

    try:
        database = checks.Database(runtime)
        run("postgres", lambda: checks.postgres(database))
        # The longest first, so that both lanes end together.
        chosen = releases or list(RELEASES)
        stories: list[tuple[str, Callable[[], None]]] = [
            ("tasks", lambda: trouble.tasks(database)),
            ("migrations", lambda: trouble.migrations(database)),
            *((f"release {x}", lambda x=x: checks.release_story(database, x)) for x in chosen),  # type: ignore[misc]
            ("views", lambda: trouble.views(database)),
            ("upgrade", lambda: checks.upgrade(database)),
            *((f"frontend {x}", lambda x=x: checks.frontend(runtime, x)) for x in chosen),  # type: ignore[misc]
            ("separate database", lambda: trouble.separate_database(database)),
            ("toolbox", lambda: checks.toolbox(runtime)),
        ]
        with ThreadPoolExecutor(PARALLEL) as pool:
            for story in stories:
                pool.submit(run, *story)
    finally:
        runtime.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(failed)} failed" if failed else "all passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
