"""Programs that come from Debian packages."""

import os
import shutil
import subprocess
import sys

from .cache import progress


def need(package: str) -> None:
    """Install the package that is named like its program, where it is missing."""
    if shutil.which(package):
        return
    if os.geteuid() != 0:
        raise FileNotFoundError(f"the Debian package {package} is missing; as root: apt-get install {package}")
    progress(f"installing the Debian package {package}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "-qq"], check=True, stdout=sys.stderr, env=quiet)
    install = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", package]
    subprocess.run(install, check=True, stdout=sys.stderr, env=quiet)
