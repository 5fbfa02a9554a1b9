"""Runs the trial: managed installations first, then the official chart's settings."""

import argparse
import atexit
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmark.kube import Cluster

from trial import installations as them
from trial import phases
from trial.haproxy import Haproxy
from trial.ingress import Controller, annotations, ready_pods, wait_until
from trial.load import Tally
from trial.nginx import Nginx
from trial.phases import Front, kubectl

START = 300.0
PORTS = {"nginx": 18080, "haproxy": 18081}
PROXIES = {"nginx": Nginx, "haproxy": Haproxy}


def say(text: str) -> None:
    """Tell how it goes."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def front(cluster: Cluster, work: Path, kind: str, ingress: str, service: str) -> Front:
    """Start a proxy from an Ingress, in front of a Service's pods."""
    found = annotations(cluster, them.NAMESPACE, ingress)
    say(f"{kind} by Ingress {ingress or 'of the chart'}: {found or 'no annotation'}")
    proxy = PROXIES[kind](Path(os.environ["PROXIES"]), work, PORTS[kind], found)
    controller = Controller(cluster, them.NAMESPACE, service, proxy.pods)
    return Front(proxy, controller, PORTS[kind], service)


def started(start: Callable[[str], Front]) -> list[Front]:
    """Start every proxy; each is ended with this process, whatever happens before."""
    fronts: list[Front] = []
    atexit.register(lambda: stop(fronts))
    for kind in PROXIES:
        fronts.append(start(kind))
    return fronts


def stop(fronts: list[Front]) -> None:
    """End them; one that has ended stays so."""
    for it in fronts:
        it.stop()


def set_up() -> None:
    """Make both installations and wait for them."""
    kubectl("create", "namespace", them.NAMESPACE)
    them.apply(*them.classes(), *map(them.managed, them.CLASSES))
    for name in them.CLASSES:
        wait_until(START, f"{name} is Ready", lambda name=name: them.ready(name, them.FIRST))
    print(kubectl("-n", them.NAMESPACE, "get", "fsd", "nginx", "-o", "jsonpath={.status.timeouts}"), file=sys.stderr)


def report(title: str, rows: dict[str, phases.Tallies], fronts: list[Front]) -> int:
    """Print a table and return how many requests failed."""
    print(f"\n{title}\n")
    print("| phase | proxy | requests | failed | slowest | how |\n|---|---|---|---|---|---|")
    total = Tally()
    for phase, tallies in rows.items():
        for proxy, tally in sorted(tallies.items()):
            total.add(tally)
            how = ", ".join(f"{count} × {name}" for name, count in tally.failed.most_common()) or "–"
            print(f"| {phase} | {proxy} | {tally.sent} | {tally.failures()} | {tally.slowest:.1f} s | {how} |")
    print(f"\n{total.failures()} of {total.sent} requests failed.", flush=True)
    for it in fronts:
        lines = it.proxy.log().splitlines()
        if lines:
            say(f"{it.proxy.name} wrote {len(lines)} lines, the last of them:\n" + "\n".join(lines[-5:]))
    return total.failures()


def managed(cluster: Cluster, work: Path) -> int:
    """Everything that the operator does to pods, and restarts."""
    fronts = started(lambda kind: front(cluster, work / kind, kind, kind, f"{kind}-api"))

    def all_patched(spec: dict) -> None:
        for name in them.CLASSES:
            them.patch(name, spec)

    def all_ready(version: str) -> bool:
        return all(them.ready(name, version) for name in them.CLASSES)

    def one_pod_each() -> bool:
        return all(len(ready_pods(cluster, them.NAMESPACE, f"{name}-api")) == 1 for name in them.CLASSES)

    def upgrade(version: str) -> phases.Tallies:
        spec = {"version": version, "migrations": {"rollback": None}}
        return phases.change(fronts, lambda: all_patched(spec), "upgraded", lambda: all_ready(version))

    def rollback(newer: str, older: str) -> phases.Tallies:
        spec = {"version": older, "migrations": {"rollback": {"from": newer, "to": older}}}
        return phases.change(fronts, lambda: all_patched(spec), "rolled back", lambda: all_ready(older))

    rows = {}
    for name, phase in {
        "steady": lambda: phases.steady(fronts),
        "silences": lambda: phases.silences(fronts),
        f"{phases.RESTARTS} rolling restarts": lambda: phases.restarts(fronts, them.NAMESPACE),
        f"upgrade {them.FIRST} to {them.OLD}": lambda: upgrade(them.OLD),
        f"rollback {them.OLD} to {them.FIRST}": lambda: rollback(them.OLD, them.FIRST),
        f"upgrade {them.FIRST} to {them.NEW}": lambda: upgrade(them.NEW),
        "scale-down 2 to 1": lambda: phases.change(
            fronts, lambda: all_patched({"api": {"replicas": 1}}), "scaled down", one_pod_each
        ),
    }.items():
        if not any(word in name for word in os.environ.get("PHASES", "").split(",")):
            continue
        say(f"managed: {name}")
        rows[name] = phase()
        say(", ".join(f"{proxy}: {tally.failures()} of {tally.sent} failed" for proxy, tally in rows[name].items()))
    stop(fronts)
    return report("By the operator", rows, fronts)


def official(cluster: Cluster, work: Path) -> int:
    """The same pods of the official chart behind both proxies."""
    name = "official"
    them.apply(*them.official(name, "nginx"))
    kubectl("-n", them.NAMESPACE, "rollout", "status", f"deployment/{name}", f"--timeout={START:.0f}s")
    fronts = started(lambda kind: front(cluster, work / kind, kind, "", name))
    rows = {}
    for title, phase in {
        "steady": lambda: phases.steady(fronts),
        "silences": lambda: phases.silences(fronts),
        f"{phases.RESTARTS} rolling restarts": lambda: phases.restarts(fronts, them.NAMESPACE),
        "scale-down 2 to 1": lambda: phases.change(
            fronts,
            lambda: kubectl("-n", them.NAMESPACE, "scale", f"deployment/{name}", "--replicas=1"),
            "scaled down",
            lambda: len(ready_pods(cluster, them.NAMESPACE, name)) == 1,
        ),
    }.items():
        say(f"official: {title}")
        rows[title] = phase()
        say(", ".join(f"{proxy}: {tally.failures()} of {tally.sent} failed" for proxy, tally in rows[title].items()))
    stop(fronts)
    return report("With the official chart's settings", rows, fronts)


def main() -> int:
    """Return 1 when a request failed behind the operator."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*")
    parts = parser.parse_args().parts or ["managed", "official"]
    cluster = Cluster(os.environ["KUBECONFIG"])
    set_up()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="flagsmith-load-") as work:
        if "managed" in parts:
            failed = managed(cluster, Path(work) / "managed")
        if "official" in parts:
            if not official(cluster, Path(work) / "official"):
                say("no request failed with the official chart's settings: the load does not reach what it is to show")
                failed = failed or 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
