"""What is done to a fresh cluster, and what is measured meanwhile. Each function returns a dictionary of figures."""

import json
import math
import os
import statistics
import subprocess
import threading
import time

from . import audit
from .kube import PARALLEL, Cluster, Refused, path
from .process import BrokenDatabases, Operator, Postgres

NAMESPACE = "bench"
VERSION = "2.265.0"
# Nothing in the tests takes longer than this; on two cores 1,000 installations take about five minutes.
WITHIN = 900.0
# The operator holds status changes that only count pods back for 15 s; whoever writes nothing for this long is done.
QUIET = 20.0
STEADY = 180.0
SAMPLES = 100
# Between two samples, each of another installation, so that their writes do not meet.
PAUSE = 0.3
IDLE = 10.0
# A change that has not arrived after this long is a failure of the operator, not a figure.
SAMPLE_WITHIN = 30.0


class Setup:
    """One fresh cluster (of `testbed run`) with CRD, accounts and the Secrets of n installations."""

    def __init__(self, options, count):
        self.options, self.count = options, count
        self.directory = os.environ["TESTBED_DIR"]
        admin = Cluster(os.environ["KUBECONFIG"])
        crd = subprocess.run([options.operator, "generate", "crd"], check=True, capture_output=True).stdout
        admin.request("POST", path("customresourcedefinitions"), crd, "application/yaml")
        admin.request("POST", path("namespaces"), {"metadata": {"name": NAMESPACE}})
        # Service accounts and not system:masters, whose requests the API server exempts from priority and fairness.
        for account in ("operator", "bench"):
            admin.request("POST", path("serviceaccounts", NAMESPACE), {"metadata": {"name": account}})
            subject = {"kind": "ServiceAccount", "namespace": NAMESPACE, "name": account}
            role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
            binding = {"metadata": {"name": "bench-" + account}, "roleRef": role, "subjects": [subject]}
            admin.request("POST", path("clusterrolebindings"), binding)
        self.cluster = Cluster(self.kubeconfig("bench"))
        self.operator_config = self.kubeconfig("operator")
        self.wait_for_crd(admin)
        self.names = [f"b{number:04}" for number in range(count)]

    def kubeconfig(self, account):
        command = ["testbed", "kubeconfig", "--service-account", f"{NAMESPACE}/{account}", "--dir", self.directory]
        file = os.path.join(self.directory, f"kubeconfig-{account}")
        with open(file, "wb") as out:
            subprocess.run(command, check=True, stdout=out)
        return file

    def wait_for_crd(self, admin):
        until = time.monotonic() + 30
        while True:
            try:
                admin.request("GET", path("flagsmithdeployments", NAMESPACE))
                return
            except Refused:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def secret(self, name, url):
        body = {"metadata": {"name": name + "-db"}, "stringData": {"url": url}}
        self.cluster.request("POST", path("secrets", NAMESPACE), body)

    def secrets(self, url):
        """Posts the database's Secret of each installation; a database each, as migrations of one take turns."""
        self.cluster.each(lambda name: self.secret(name, url(name)), self.names)

    def operator(self, probe=False):
        log = os.path.join(self.options.work, "operator.log")
        return Operator(self.options.operator, self.operator_config, log, str(probe).lower())

    def installation(self, name, **spec):
        reference = {"secretKeyRef": {"name": name + "-db", "key": "url"}}
        return {
            "apiVersion": "operator.flagsmith.com/v1alpha1",
            "kind": "FlagsmithDeployment",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"version": VERSION, "database": {"urlFrom": reference}, **spec},
        }


class Progress:
    """Watches installations and Deployments; knows when all were Ready and Available."""

    DEPLOYMENTS = 3

    def __init__(self, setup):
        self.count = setup.count
        self.ready, self.available = set(), set()
        self.at = {}
        self.changed = threading.Event()
        self.watches = [
            setup.cluster.watch("flagsmithdeployments", NAMESPACE, self.installation),
            setup.cluster.watch("deployments", NAMESPACE, self.deployment),
        ]

    def installation(self, _, it, now):
        generation = it["metadata"]["generation"]
        for condition in it.get("status", {}).get("conditions", []):
            if condition["type"] == "Ready":
                good = condition["status"] == "True" and condition.get("observedGeneration") == generation
                self.note("ready", self.ready, it, good, self.count, now)

    def deployment(self, _, it, now):
        wanted, status = it["spec"]["replicas"], it.get("status", {})
        good = status.get("observedGeneration") == it["metadata"]["generation"] and all(
            status.get(field, 0) == wanted for field in ("replicas", "updatedReplicas", "availableReplicas")
        )
        self.note("available", self.available, it, good, self.count * self.DEPLOYMENTS, now)

    def note(self, what, found, it, good, target, now):
        (found.add if good else found.discard)(it["metadata"]["name"])
        if len(found) == target and what not in self.at:
            self.at[what] = now
            self.changed.set()

    def wait(self, *whats):
        until = time.monotonic() + WITHIN
        while not all(what in self.at for what in whats):
            self.changed.wait(0.5)
            self.changed.clear()
            for watch in self.watches:
                watch.check()
            if time.monotonic() > until:
                raise RuntimeError(
                    f"within {WITHIN:.0f} s only {len(self.ready)} of {self.count} installations became Ready"
                    f" and {len(self.available)} Deployments Available"
                )


def until_quiet(log, still=QUIET, until=math.inf):
    """Calls until the operator has written nothing for so many seconds; reads after its last write do not count."""
    calls, last = [], time.monotonic()
    kept = 0
    while time.monotonic() - last < still and time.monotonic() < until:
        time.sleep(0.5)
        new = audit.about_installations(log.calls())
        calls += new
        if audit.writes(new):
            last, kept = time.monotonic(), len(calls)
    return calls[:kept]


def create(options):
    """N installations at once; with the largest N also what comes afterwards."""
    setup = Setup(options, options.count)
    figures = {}
    more = options.more
    databases = Postgres(options.work, setup.names) if more else None
    setup.secrets(databases.url if more else lambda name: f"postgresql://bench@127.0.0.1:1/{name}")
    with setup.operator() as operator:
        time.sleep(IDLE)
        figures["idle"] = operator.memory()
        log, progress = audit.Audit(setup.directory), Progress(setup)
        cpu, begun = operator.cpu(), time.monotonic()
        post_all(setup)
        progress.wait("ready", "available")
        figures["cpu"] = operator.cpu() - cpu
        figures.update({what: at - begun for what, at in progress.at.items()})
        calls = until_quiet(log)
        figures["cpu_quiet"] = operator.cpu() - cpu
        figures["calls"], figures["writes"] = len(calls), len(audit.writes(calls))
        figures["table"] = audit.table(calls)
        figures["passes"] = operator.passes()
        figures["memory"] = operator.memory()
        children = os.path.join(options.work, CHILDREN_FILE)
        if not os.path.exists(children):
            record(setup, children)
        if more:
            figures["change"] = change_latency(setup)
            figures["repair"] = repair_latency(setup)
    if more:
        with databases, setup.operator(probe=True) as operator:
            figures.update(steady(setup, operator))
    return figures


def post_all(setup, **spec):
    setup.cluster.each(lambda name: post(setup, name, **spec), setup.names)


def post(setup, name, **spec):
    setup.cluster.request("POST", path("flagsmithdeployments", NAMESPACE), setup.installation(name, **spec))


def steady(setup, operator):
    """With probes of real databases: the first look at each writes a status, then nothing should be written."""
    log = audit.Audit(setup.directory)
    until_quiet(log)
    cpu = operator.cpu()
    log.calls()
    time.sleep(STEADY)
    calls = audit.about_installations(log.calls())
    per_minute = setup.count * STEADY / 60
    return {
        "steady_reads": (len(calls) - len(audit.writes(calls))) / per_minute,
        "steady_writes": len(audit.writes(calls)) / per_minute,
        "steady_table": audit.table(calls),
        "steady_cores": (operator.cpu() - cpu) / STEADY,
        "steady_memory": operator.memory(),
    }


def latency(setup, resource, disturb, arrived, count=SAMPLES):
    """Seconds from the API server's answer to a change until the operator's reaction is seen in a watch; beside it what
    the change itself took, which is one write where a reaction is one write and two watch events."""
    samples, writes, seen = [], [], threading.Event()
    waiting = {"for": None, "at": 0.0}

    def on_event(kind, it, now):
        if waiting["for"] is not None and arrived(kind, it, waiting["for"]):
            waiting["at"], waiting["for"] = now, None
            seen.set()

    watch = setup.cluster.watch(resource, NAMESPACE, on_event)
    for number in range(count):
        name = setup.names[number % len(setup.names)]
        seen.clear()
        waiting["for"] = (name, number)
        begun = time.monotonic()
        disturb(name, number)
        answered = time.monotonic()
        writes.append(answered - begun)
        if not seen.wait(SAMPLE_WITHIN):
            watch.check()
            raise RuntimeError(f"the operator did not react to a change of {name} within {SAMPLE_WITHIN:.0f} s")
        # The reaction's event may be read before the change's own answer.
        samples.append(max(0.0, waiting["at"] - answered))
        time.sleep(PAUSE)
    return {"reaction": quantiles(samples), "write": quantiles(writes)}


def quantiles(samples):
    cuts = statistics.quantiles(samples, n=100, method="inclusive")
    return {"p50": cuts[49], "p99": cuts[98]}


def change_latency(setup, count=SAMPLES, first=0):
    """spec.taskProcessor.threads, which is an argument in the task processor's Deployment."""

    def threads(number):
        # Another value at each change of an installation; the schema allows 1 to 128.
        return 10 + (first + number // len(setup.names)) % 119

    def disturb(name, number):
        body = {"spec": {"taskProcessor": {"threads": threads(number)}}}
        setup.cluster.merge(path("flagsmithdeployments", NAMESPACE, name), body)

    def arrived(_, it, wanted):
        name, number = wanted
        arguments = json.dumps(it["spec"]["template"]["spec"]["containers"])
        has = f'"--numthreads", "{threads(number)}"' in arguments
        return it["metadata"]["name"] == name + "-task-processor" and has

    return latency(setup, "deployments", disturb, arrived, count)


def repair_latency(setup):
    def disturb(name, _):
        setup.cluster.request("DELETE", path("poddisruptionbudgets", NAMESPACE, name + "-api"))

    def arrived(kind, it, wanted):
        return kind == "ADDED" and it["metadata"]["name"] == wanted[0] + "-api"

    return latency(setup, "poddisruptionbudgets", disturb, arrived)


def many(options):
    """Many installations whose Deployments have no pods; then a restart of the operator."""
    setup = Setup(options, options.count)
    setup.secrets(lambda name: f"postgresql://bench@127.0.0.1:1/{name}")
    none = {"replicas": 0}
    log = audit.Audit(setup.directory)
    with setup.operator() as operator:
        begun = time.monotonic()
        post_all(setup, api=none, taskProcessor=none, frontend=none)
        calls = until_quiet(log)
        figures = {"seconds": time.monotonic() - begun - QUIET, "memory": operator.memory(), "cpu": operator.cpu()}
        figures["calls"], figures["writes"] = len(calls), len(audit.writes(calls))
    log.calls()
    with setup.operator() as operator:
        time.sleep(4 * IDLE)
        # The watches themselves are logged when they end.
        calls = audit.about_installations(log.calls())
        figures["restart"] = {
            "table": audit.table(calls), "writes": len(audit.writes(calls)),
            "memory": operator.memory(), "cpu": operator.cpu(),
        }  # fmt: skip
    return figures


# Installations with a database that is no use, beside the healthy ones.
BROKEN = {"silent": 50, "slow": 5, "hostile": 5}
# Enough that the third slowest is the 99th percentile. The silent ones are looked at for five seconds each, two at a
# time and each twice: that takes longer than the samples do.
MANY_SAMPLES = 300


def broken(options):
    """How soon a healthy installation's change arrives, without and with many whose databases are broken."""
    setup = Setup(options, options.count)
    databases = Postgres(options.work, setup.names)
    setup.secrets(databases.url)
    with databases, BrokenDatabases() as servers, setup.operator(probe=True) as operator:
        progress = Progress(setup)
        post_all(setup)
        progress.wait("ready", "available")
        until_quiet(audit.Audit(setup.directory))
        cpu, begun = operator.cpu(), time.monotonic()
        without = change_latency(setup, MANY_SAMPLES)
        usual = (operator.cpu() - cpu) / (time.monotonic() - begun)
        names = {f"{kind}{number:02}": kind for kind, count in BROKEN.items() for number in range(count)}
        for name, kind in names.items():
            setup.secret(name, servers.url(kind, name))
        setup.cluster.each(lambda name: post(setup, name), names)
        until_reported(setup, names)
        cpu, begun = operator.cpu(), time.monotonic()
        beside = change_latency(setup, MANY_SAMPLES, MANY_SAMPLES // setup.count + 1)
        return {
            "broken": BROKEN, "without": without, "beside": beside,
            "quotient": beside["reaction"]["p99"] / without["reaction"]["p99"],
            "cores": [usual, (operator.cpu() - cpu) / (time.monotonic() - begun)],
            "memory": operator.memory(),
        }  # fmt: skip


def conditions(it):
    """The status of each condition that is of the newest specification."""
    generation = it["metadata"]["generation"]
    found = it.get("status", {}).get("conditions", [])
    return {each["type"]: each["status"] for each in found if each.get("observedGeneration") == generation}


def installations(setup):
    found = setup.cluster.request("GET", path("flagsmithdeployments", NAMESPACE))["items"]
    return {it["metadata"]["name"]: it for it in found}


def until_reported(setup, names):
    """Each says something of its database: the operator knows it and has begun to look."""
    until = time.monotonic() + WITHIN
    while time.monotonic() < until:
        found = installations(setup)
        if all("DatabaseReachable" in conditions(found[name]) for name in names):
            return
        time.sleep(1)
    raise RuntimeError(f"not every installation with a broken database was reported on within {WITHIN:.0f} s")


CHILDREN_FILE = "children.json"
# The kinds that an installation has, in the order in which the floor run posts them.
CHILDREN = ("secrets", "serviceaccounts", "services", "jobs", "deployments", "poddisruptionbudgets")


def record(setup, file):
    """Keeps the objects of the first installation for the floor run, without what the server adds."""
    name = setup.names[0]
    primary = setup.cluster.request("GET", path("flagsmithdeployments", NAMESPACE, name))
    children = []
    for resource in CHILDREN:
        for it in setup.cluster.request("GET", path(resource, NAMESPACE))["items"]:
            owners = [owner["uid"] for owner in it["metadata"].get("ownerReferences", [])]
            if primary["metadata"]["uid"] in owners:
                children.append([resource, clean(it)])
    with open(file, "w", encoding="utf-8") as out:
        recorded = {"name": name, "uid": primary["metadata"]["uid"], "status": primary["status"], "children": children}
        json.dump(recorded, out)


def clean(it):
    metadata, spec = it["metadata"], it.get("spec", {})
    for field in ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"):
        metadata.pop(field, None)
    it.pop("status", None)
    for field in ("clusterIP", "clusterIPs", "selector" if "completions" in spec else ""):
        spec.pop(field, None)
    for labels in (metadata.get("labels", {}), spec.get("template", {}).get("metadata", {}).get("labels", {})):
        for label in [label for label in labels if label.endswith(("controller-uid", "job-name"))]:
            del labels[label]
    return it


def floor(options):
    """The same objects and one status each, posted as fast as the API server takes them, by nobody's decision."""
    setup = Setup(options, options.count)
    setup.secrets(lambda name: f"postgresql://bench@127.0.0.1:1/{name}")
    with open(os.path.join(options.work, CHILDREN_FILE), encoding="utf-8") as file:
        recorded = json.load(file)
    children = [(resource, json.dumps(it)) for resource, it in recorded["children"]]
    progress = Progress(setup)
    where = path("flagsmithdeployments", NAMESPACE)

    def post(name):
        uid = setup.cluster.request("POST", where, setup.installation(name))["metadata"]["uid"]
        for resource, text in children:
            body = text.replace(recorded["uid"], uid).replace(recorded["name"], name)
            setup.cluster.request("POST", path(resource, NAMESPACE), body.encode())
        setup.cluster.merge(f"{where}/{name}/status", {"status": recorded["status"]})

    cpu, begun = time.process_time(), time.monotonic()
    setup.cluster.each(post, setup.names)
    posted = time.monotonic() - begun
    progress.wait("available")
    return {
        "available": progress.at["available"] - begun,
        "posted": posted,
        "cpu": time.process_time() - cpu,
        "writes": len(children) + 2,
        "parallel": PARALLEL,
    }
