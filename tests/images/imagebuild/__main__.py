"""Command line: `build [--list] [NAME...]`."""

import argparse
import subprocess
import sys

from .cache import forget_stale_parts, locked, progress
from .catalogue import images


def main() -> int:
    known = images()
    parser = argparse.ArgumentParser(prog="build", description="Build the test images as OCI archives.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="image to build, as --list names it; none: all")
    parser.add_argument("--list", action="store_true", help="print the names and the references, and build nothing")
    arguments = parser.parse_args()
    if arguments.list:
        for image in known.values():
            print(f"{image.name}\t{image.reference}")
        return 0
    if unknown := [name for name in arguments.names if name not in known]:
        parser.error(f"no image is called {', '.join(unknown)}; there are: {', '.join(known)}")
    with locked():
        for name in arguments.names or known:
            try:
                print(known[name].build(), flush=True)
            except (subprocess.CalledProcessError, OSError) as error:
                progress(f"{name} could not be built: {error}")
                return 1
        forget_stale_parts()
    return 0


if __name__ == "__main__":
    sys.exit(main())
