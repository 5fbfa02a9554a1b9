"""Installations come, change and go for a long time, and nothing of the operator's may grow: a check, not a measurement."""

import random
import statistics
import sys
import time

from . import audit
from .kube import Refused, path
from .process import Postgres, total
from .scenarios import NAMESPACE, WITHIN, Progress, Setup, conditions, installations, post, post_all, until_quiet

# Between two things that are done.
PACE = 1.0
# Between two samples.
SAMPLED = 30.0
# Between two restarts of PostgreSQL, which all databases are on.
RESTARTED = 240.0
# Installations more or less than at the beginning.
SWING = 5
# Troubles of the past are told for a few minutes; after the last of them nothing is written for this long.
SETTLED = 60.0
STILL = 120.0
# By how much memory may be above that of the second quarter; in the first everything is still new.
GROWTH = 1.10
# Of descriptors, threads and tasks more are no growth: sessions with databases, 16 at most, and requests under way.
AT_WORK = 32
CHILDREN = ("poddisruptionbudgets", "services", "serviceaccounts", "deployments")
# What is sampled of the metrics, where this operator exports it.
GAUGES = {
    "tasks": "flagsmith_operator_tasks",
    "remembered": "flagsmith_operator_remembered_installations",
    "cached": "flagsmith_operator_cache_objects",
    "active": "flagsmith_operator_reconcile_active",
}
# What must not have happened.
NEVER = ("flagsmith_operator_panics_total", "flagsmith_operator_deadline_exceeded_total")


class Churn:
    """Does one thing after the other, at random; the same things in each run."""

    def __init__(self, setup, databases):
        self.setup, self.databases = setup, databases
        self.random = random.Random(12)
        self.alive = dict.fromkeys(setup.names, False)
        self.number = len(setup.names)
        self.done = dict.fromkeys(("create", "delete", "change", "repair", "restart"), 0)

    def step(self):
        low, high = self.setup.count - SWING, self.setup.count + SWING
        ways = [self.change, self.change, self.repair]
        if len(self.alive) < high:
            ways.append(self.create)
        if len(self.alive) > low:
            ways.append(self.delete)
        way = self.random.choice(ways)
        self.done[way.__name__] += 1
        way()

    def pick(self):
        return self.random.choice(list(self.alive))

    def create(self):
        """Under a name that there has not been: whatever is remembered by it and not forgotten would grow."""
        name, self.number = f"c{self.number:05}", self.number + 1
        self.databases.create(name)
        self.setup.secret(name, self.databases.url(name))
        post(self.setup, name, deletionPolicy="Delete")
        self.alive[name] = False

    def delete(self):
        name = self.pick()
        del self.alive[name]
        self.setup.cluster.request("DELETE", path("flagsmithdeployments", NAMESPACE, name))
        self.setup.cluster.request("DELETE", path("secrets", NAMESPACE, name + "-db"))
        self.databases.drop(name)

    def change(self):
        """There, or back."""
        name = self.pick()
        self.alive[name] = not self.alive[name]
        spec = {"taskProcessor": {"threads": 20 if self.alive[name] else None}}
        self.setup.cluster.merge(path("flagsmithdeployments", NAMESPACE, name), {"spec": spec})

    def repair(self):
        name, resource = self.pick(), self.random.choice(CHILDREN)
        child = name if resource == "serviceaccounts" else name + "-api"
        try:
            self.setup.cluster.request("DELETE", path(resource, NAMESPACE, child))
        except Refused as refused:
            # Its installation is a moment old, or it was deleted a moment ago.
            if refused.code != 404:
                raise

    def restart(self):
        self.done["restart"] += 1
        self.databases.restart()


def sample(operator, churn, begun):
    memory, metrics = operator.memory(), operator.scrape()
    gauges = {name: int(total(metrics, family)) for name, family in GAUGES.items() if total(metrics, family)}
    return {
        "at": round(time.monotonic() - begun), "installations": len(churn.alive),
        "rss": round(memory["now"], 1), "own": round(memory["own"], 1), "highest": round(memory["highest"], 1),
        "threads": operator.threads(), "descriptors": operator.descriptors(),
        "passes": int(operator.passes()), **gauges,
    }  # fmt: skip


def soak(options):
    setup = Setup(options, options.count)
    databases = Postgres(options.work, setup.names)
    setup.secrets(databases.url)
    samples, failures = [], []
    with databases, setup.operator(probe=True) as operator:
        progress = Progress(setup)
        post_all(setup, deletionPolicy="Delete")
        progress.wait("ready", "available")
        churn, log = Churn(setup, databases), audit.Audit(setup.directory)
        begun = time.monotonic()
        end = begun + options.minutes * 60
        restart = begun + RESTARTED
        for number in range(sys.maxsize):
            due = begun + number * PACE
            if due > end:
                break
            time.sleep(max(0.0, due - time.monotonic()))
            if time.monotonic() > restart:
                restart += RESTARTED
                churn.restart()
            churn.step()
            if time.monotonic() >= begun + len(samples) * SAMPLED:
                samples.append(sample(operator, churn, begun))
                # As an hour's log would be a hundred megabytes in memory otherwise.
                log.calls()
                print(f"soak: {samples[-1]}", file=sys.stderr, flush=True)
        not_ready = until_ready(setup, churn)
        failures += [f"not Ready {WITHIN:.0f} s after the last change: {name}" for name in not_ready]
        written = quiet(log)
        failures += [f"written in the quiet: {' '.join(call)}" for call in written]
        after, metrics = sample(operator, churn, begun), operator.scrape()
        print(f"soak: in the quiet {after}", file=sys.stderr, flush=True)
        failures += [f"{name} is {metrics[name]:.0f}" for name in NEVER if metrics.get(name)]
    failures += grown(samples)
    for failure in failures:
        print(f"soak: FAILED: {failure}", file=sys.stderr)
    return {"done": churn.done, "samples": samples, "after": after, "failures": failures}


def until_ready(setup, churn):
    """Those that are not Ready when all should have been for long."""
    until = time.monotonic() + WITHIN
    while True:
        found = installations(setup)
        missing = [name for name in churn.alive if conditions(found[name]).get("Ready") != "True"]
        if not missing or time.monotonic() > until:
            return missing + [f"{name}, which was deleted" for name in found if name not in churn.alive]
        time.sleep(1)


def quiet(log):
    """The writes of the two minutes after a minute without one."""
    until = time.monotonic() + WITHIN
    log.calls()
    until_quiet(log, SETTLED, until)
    time.sleep(STILL)
    return audit.writes(audit.about_installations(log.calls()))


def grown(samples):
    """What the last quarter has more of than the second."""
    quarter = len(samples) // 4
    if quarter < 2:
        return ["too few samples: at least four minutes are needed"]
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    failures = []
    for name, factor, more in (
        ("rss", GROWTH, 0),
        ("descriptors", 1, AT_WORK),
        ("threads", 1, AT_WORK),
        ("tasks", 1, AT_WORK),
        ("remembered", GROWTH, 0),
        ("cached", GROWTH, 0),
    ):
        if not all(name in it for it in early + late):
            print(f"soak: this operator does not export {name}", file=sys.stderr)
            continue
        before, after = (statistics.mean(it[name] for it in part) for part in (early, late))
        limit = before * factor + more
        verdict = "at most" if after <= limit else "ABOVE"
        print(f"soak: {name}: second quarter {before:.1f}, last {after:.1f}, {verdict} {limit:.1f}", file=sys.stderr)
        if after > limit:
            failures.append(f"{name} has grown from {before:.1f} to {after:.1f}, and may be {limit:.1f}")
    return failures
