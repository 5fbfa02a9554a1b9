"""What happens to the pods while requests arrive."""

import asyncio
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trial import load
from trial.ingress import Controller, wait_until
from trial.load import Tally

# Requests a second behind each proxy; two of them share the pods' processors.
RATE = 100.0
STEADY = 60.0
# Around Gunicorn's default keep-alive of 2 s, which it looks at once a second; and around the 60 s and 65 s of a
# proxy's idle time and of the keep-alive that is computed from it.
SILENCES = [step / 10 for step in range(18, 33)] + [60.0, 65.3]
RESTARTS = 10
ROLLOUT = 300.0
# After a rollout pods end: preStop, and what is in flight.
ENDING = 20.0

Tallies = dict[str, Tally]


class Front:
    """A proxy with its pods."""

    def __init__(self, proxy, controller: Controller, port: int, deployment: str):  # noqa: ANN001 # Nginx or Haproxy
        self.proxy, self.controller, self.port, self.deployment = proxy, controller, port, deployment

    def stop(self) -> None:
        """End both."""
        try:
            self.controller.stop()
        finally:
            self.proxy.stop()


def kubectl(*arguments: str) -> str:
    """Run kubectl."""
    return subprocess.run(["kubectl", *arguments], check=True, capture_output=True, text=True).stdout


@contextmanager
def under_load(fronts: list[Front], tallies: Tallies) -> Iterator[None]:
    """Send requests through every proxy while the block runs."""
    begun, stops, threads = threading.Barrier(len(fronts) + 1), [], []

    def run(front: Front) -> None:
        async def main() -> None:
            stop = asyncio.Event()
            stops.append((asyncio.get_running_loop(), stop))
            begun.wait()
            tallies.setdefault(front.proxy.name, Tally()).add(await load.steady(front.port, RATE, stop))

        asyncio.run(main())

    for front in fronts:
        threads.append(threading.Thread(target=run, args=(front,), daemon=True))
        threads[-1].start()
    begun.wait()
    try:
        yield
    finally:
        for loop, stop in stops:
            loop.call_soon_threadsafe(stop.set)
        for thread in threads:
            thread.join(timeout=load.PATIENCE + 10)


def steady(fronts: list[Front]) -> Tallies:
    """Requests and nothing else."""
    tallies: Tallies = {}
    with under_load(fronts, tallies):
        time.sleep(STEADY)
    return tallies


def silences(fronts: list[Front]) -> Tallies:
    """Bursts over connections that were silent for a while."""
    tallies: Tallies = {}

    def run(front: Front) -> None:
        tallies[front.proxy.name] = asyncio.run(load.bursts(front.port, SILENCES))

    threads = [threading.Thread(target=run, args=(front,)) for front in fronts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tallies


def restarts(fronts: list[Front], namespace: str) -> Tallies:
    """Rolling restarts, one after the other."""
    tallies: Tallies = {}
    deployments = sorted({front.deployment for front in fronts})
    with under_load(fronts, tallies):
        for _ in range(RESTARTS):
            for deployment in deployments:
                kubectl("-n", namespace, "rollout", "restart", f"deployment/{deployment}")
            for deployment in deployments:
                kubectl("-n", namespace, "rollout", "status", f"deployment/{deployment}", f"--timeout={ROLLOUT:.0f}s")
        time.sleep(ENDING)
    return tallies


def change(fronts: list[Front], act: Callable[[], None], what: str, done: Callable[[], bool]) -> Tallies:
    """Something that changes pods, until it is done and the old ones have ended."""
    tallies: Tallies = {}
    with under_load(fronts, tallies):
        act()
        wait_until(ROLLOUT, what, done)
        time.sleep(ENDING)
    return tallies
