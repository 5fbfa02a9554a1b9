"""What a controller reads: an Ingress, and the pods behind its Services."""

import threading
import time
from collections.abc import Callable

from benchmark.kube import Cluster, Refused

# Controllers collect changes for a moment before they act on them (ingress-nginx: at most one sync in 3 s).
SYNC = 1.0
SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"

Pods = dict[str, list[str]]


def annotations(cluster: Cluster, namespace: str, name: str) -> dict[str, str]:
    """Return the annotations of an Ingress; none when there is no such Ingress."""
    try:
        ingress = cluster.request("GET", f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses/{name}")
    except Refused as refused:
        if refused.code == 404:
            return {}
        raise
    return ingress["metadata"].get("annotations", {})


def ready_pods(cluster: Cluster, namespace: str, service: str) -> list[str]:
    """Return the addresses of the pods that a Service has now, as controllers take them: those that are ready."""
    listed = cluster.request("GET", SLICES.format(namespace) + f"?labelSelector=kubernetes.io/service-name={service}")
    return sorted(
        address
        for piece in listed["items"]
        for endpoint in piece.get("endpoints") or []
        if endpoint.get("conditions", {}).get("ready") is not False
        for address in endpoint["addresses"]
    )


class Controller:
    """Keeps a proxy's list of pods current, until stopped."""

    def __init__(self, cluster: Cluster, namespace: str, service: str, change: Callable[[list[str]], None]):
        self._cluster, self._namespace, self._service, self._change = cluster, namespace, service, change
        self._known = ready_pods(cluster, namespace, service)
        change(self._known)
        self._stop = threading.Event()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop.wait(SYNC):
                pods = ready_pods(self._cluster, self._namespace, self._service)
                if pods and pods != self._known:
                    self._known = pods
                    self._change(pods)
        except BaseException as error:  # noqa: BLE001 # shown by `stop`
            self.error = error

    def stop(self) -> None:
        """End, and raise what went wrong."""
        self._stop.set()
        self._thread.join(timeout=30)
        if self.error:
            raise self.error


def wait_until(limit: float, what: str, holds: Callable[[], bool]) -> None:
    """Wait for a condition, at most `limit` seconds."""
    end = time.monotonic() + limit
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"after {limit:.0f} s not yet: {what}")
        time.sleep(0.5)
