"""A real haproxy, configured as HAProxy Technologies' controller would configure it from an Ingress' annotations."""

import os
import socket
import subprocess
import time
from pathlib import Path

PREFIX = "haproxy.org/"
# Servers of a backend: pods take them and leave them through the runtime API, as with the controller.
SLOTS = 16
# What the controller writes where no annotation says otherwise (pkg/haproxy/env/defaults.go).
TIMEOUT_SERVER = "50s"
TEMPLATE = """
global
  maxconn 4096
  stats socket {work}/admin.sock mode 600 level admin
  log stderr format raw local0 warning
defaults
  mode http
  option redispatch
  timeout connect 5s
  timeout client 50s
  timeout http-request 5s
  timeout http-keep-alive 1m
  timeout queue 5s
  timeout server {timeout_server}
frontend http
  bind 127.0.0.1:{port}
  default_backend pods
backend pods
  balance roundrobin
  server-template pod 1-{slots} 127.0.0.1:1 disabled
"""


class Haproxy:
    """One haproxy on a port of 127.0.0.1."""

    name = "haproxy"

    def __init__(self, root: Path, work: Path, port: int, annotations: dict[str, str]):
        work.mkdir(parents=True)
        self._work = work
        self._slots: dict[int, str] = {}
        timeout = annotations.get(PREFIX + "timeout-server", TIMEOUT_SERVER)
        (work / "haproxy.cfg").write_text(
            TEMPLATE.format(work=work, port=port, slots=SLOTS, timeout_server=timeout)
        )
        environment = {**os.environ, "LD_LIBRARY_PATH": f"{root}/usr/lib/x86_64-linux-gnu:{root}/lib/x86_64-linux-gnu"}
        with (work / "error.log").open("wb") as log:
            self._process = subprocess.Popen(
                [str(root / "usr/sbin/haproxy"), "-db", "-f", str(work / "haproxy.cfg")], env=environment, stderr=log
            )
        end = time.monotonic() + 10
        while not (work / "admin.sock").exists():
            if time.monotonic() > end:
                raise TimeoutError("haproxy does not start: " + self.log())
            time.sleep(0.1)

    def _command(self, text: str) -> None:
        with socket.socket(socket.AF_UNIX) as admin:
            admin.settimeout(10)
            admin.connect(str(self._work / "admin.sock"))
            admin.sendall(text.encode() + b"\n")
            answer = b""
            while piece := admin.recv(4096):
                answer += piece
        if b"must be" in answer or b"No such" in answer or b"nknown" in answer:
            raise RuntimeError(f"{text}: {answer.decode()}")

    def pods(self, addresses: list[str]) -> None:
        """Send requests to these pods from now on, without a reload."""
        for slot, address in list(self._slots.items()):
            if address not in addresses:
                self._command(f"set server pods/pod{slot} state maint")
                del self._slots[slot]
        for address in addresses:
            if address not in self._slots.values():
                slot = next(number for number in range(1, SLOTS + 1) if number not in self._slots)
                self._slots[slot] = address
                self._command(f"set server pods/pod{slot} addr {address} port 8000")
                self._command(f"set server pods/pod{slot} state ready")

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=30)

    def log(self) -> str:
        """Return what it wrote about errors."""
        return (self._work / "error.log").read_text()
