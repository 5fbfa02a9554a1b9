"""The processes that are measured, and what the kernel says about them."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request

READY_WITHIN = 60.0
STOP_WITHIN = 20.0
TICKS = os.sysconf("SC_CLK_TCK")
CREATE = "CREATE DATABASE {} STRATEGY file_copy;\n"
PASSES = "flagsmith_operator_reconcile_total{"
# The operator takes a loopback address in a URL for the pods' own machine and does not look there. So the databases
# have a name, which only its process knows.
DATABASES = "databases.test"


def environment(component, **more):
    """The test cluster takes down every process that carries its directory, so also after a SIGKILL of this one."""
    mark = {"TESTBED_PROCESS_OF": os.environ["TESTBED_DIR"], "TESTBED_PROCESS_COMPONENT": component}
    return {**os.environ, **mark, **more}


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def total(metrics, family):
    """The sum over all labels."""
    return sum(value for name, value in metrics.items() if name.startswith(family))


def stop(process, how=signal.SIGTERM):
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Operator:
    """The release binary; a context manager."""

    def __init__(self, binary, kubeconfig, log, probe):
        self.probes, self.metrics = (f"127.0.0.1:{free_port()}" for _ in range(2))
        addresses = ["--probe-address", self.probes, "--metrics-address", self.metrics]
        arguments = [binary, "run", *addresses, f"--database-probe={probe}", "--allow-loopback-databases"]
        hosts = pathlib.Path(f"{log}.hosts")
        hosts.write_text(f"127.0.0.1 localhost {DATABASES}\n")
        apart = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
        in_place = ["/bin/sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', hosts]
        with open(log, "ab") as file:
            self.process = subprocess.Popen(
                [*apart, *in_place, *arguments],
                env=environment("operator", KUBECONFIG=kubeconfig), stdout=file, stderr=file,
            )  # fmt: skip

    def __enter__(self):
        until = time.monotonic() + READY_WITHIN
        while time.monotonic() < until and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://{self.probes}/readyz", timeout=5) as answer:
                    if answer.status == 200:
                        return self
            except OSError:
                pass
            time.sleep(0.1)
        stop(self.process)
        raise RuntimeError(f"the operator is not ready within {READY_WITHIN:.0f} s")

    def __exit__(self, *_):
        stop(self.process)

    def cpu(self):
        """Seconds of CPU until now, its own and the kernel's on its behalf."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def scrape(self):
        """What it exports at this moment, by name and labels."""
        with urllib.request.urlopen(f"http://{self.metrics}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def passes(self):
        """Passes over installations until now."""
        return total(self.scrape(), PASSES)

    def threads(self):
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory(self):
        """Resident memory in MiB: now, its highest, and what of it is no page of the program's file."""
        lines = pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        kinds = {"VmRSS": "now", "VmHWM": "highest", "RssAnon": "own"}
        fields = [line.split(":") for line in lines]
        return {kinds[kind]: int(value.split()[0]) / 1024 for kind, value in fields if kind in kinds}


class Postgres:
    """A PostgreSQL server of Debian on 127.0.0.1 with one database for each installation; a context manager."""

    # Probes of one operator, at most 16 at once, and room.
    CONNECTIONS = 50

    def __init__(self, directory, names):
        self.names = names
        self.port = free_port()
        self.programs = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda it: int(it.parent.name))[-1]
        self.home = pathlib.Path(directory) / "postgres"
        self.home.mkdir()
        # PostgreSQL refuses to run as root.
        self.prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
        if self.prefix:
            subprocess.run(["chown", "postgres:postgres", self.home], check=True)

    def run(self, program, *arguments, **options):
        command = [*self.prefix, self.programs / program, *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", **options)

    def __enter__(self):
        data = self.home / "data"
        self.run("initdb", "-D", data, "-U", "bench", "--auth=trust", "--no-sync")
        self.start()
        try:
            self.sql("".join(CREATE.format(name) for name in self.names))
        except BaseException:
            stop(self.process, signal.SIGINT)
            raise
        return self

    def start(self):
        data = self.home / "data"
        settings = {
            "listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": self.home,
            "fsync": "off", "max_connections": self.CONNECTIONS,
        }  # fmt: skip
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.process = subprocess.Popen(
            [*self.prefix, self.programs / "postgres", "-D", data, *options],
            env=environment("postgres"), cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            until = time.monotonic() + READY_WITHIN
            while subprocess.run([self.programs / "pg_isready", "-q", "-h", self.home, "-p", str(self.port)]).returncode:
                if time.monotonic() > until:
                    raise RuntimeError("PostgreSQL did not start")
                time.sleep(0.2)
        except BaseException:
            stop(self.process, signal.SIGINT)
            raise

    def restart(self):
        """As `pg_ctl restart -m fast` does: whoever is connected is cut off."""
        stop(self.process, signal.SIGINT)
        self.start()

    def sql(self, text):
        psql = ("-q", "-h", self.home, "-p", str(self.port), "-U", "bench", "-d", "postgres")
        self.run("psql", *psql, input=text.encode())

    def create(self, name):
        self.sql(CREATE.format(name))

    def drop(self, name):
        self.sql(f"DROP DATABASE {name} WITH (FORCE);")

    def __exit__(self, *_):
        stop(self.process, signal.SIGINT)

    def url(self, name):
        return f"postgresql://bench@{DATABASES}:{self.port}/{name}"


class BrokenDatabases:
    """The servers of `broken.py`; a context manager."""

    KINDS = ("silent", "slow", "hostile")

    def __enter__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.broken"], env=environment("broken"), stdout=subprocess.PIPE
        )
        self.ports = json.loads(self.process.stdout.readline())
        return self

    def __exit__(self, *_):
        stop(self.process)

    def url(self, kind, name):
        return f"postgresql://bench@{DATABASES}:{self.ports[kind]}/{name}"
