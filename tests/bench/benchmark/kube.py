"""A small client of the API server: requests, many requests at once, watches."""

import base64
import http.client
import json
import os
import queue
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse

# One answer may take this long; the server is slow when a hundred installations start at once.
TIMEOUT = 60.0
# Requests at once when many objects are posted: as many as the operator's default concurrency.
PARALLEL = 8
PATHS = {
    "flagsmithdeployments": "/apis/operator.flagsmith.com/v1alpha1",
    "customresourcedefinitions": "/apis/apiextensions.k8s.io/v1",
    "clusterrolebindings": "/apis/rbac.authorization.k8s.io/v1",
    "deployments": "/apis/apps/v1",
    "jobs": "/apis/batch/v1",
    "poddisruptionbudgets": "/apis/policy/v1",
}


class Refused(Exception):
    """The API server answered with an error."""

    def __init__(self, method, path, code, body):
        super().__init__(f"{method} {path}: {code} {body[:500]!r}")
        self.code = code


def path(resource, namespace=None, name=None, sub=None):
    parts = [PATHS.get(resource, "/api/v1")]
    if namespace:
        parts.append(f"namespaces/{namespace}")
    parts += [part for part in (resource, name, sub) if part]
    return "/".join(parts)


class Cluster:
    """Credentials of one kubeconfig; each thread has a connection of its own."""

    def __init__(self, kubeconfig):
        view = ["kubectl", "config", "view", "--raw", "--minify", "-o", "json"]
        env = {**os.environ, "KUBECONFIG": kubeconfig}
        config = json.loads(subprocess.run(view, env=env, check=True, capture_output=True).stdout)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.address = urllib.parse.urlsplit(cluster["server"])
        self.tls = ssl.create_default_context(cadata=_pem(cluster, "certificate-authority").decode())
        if "token" in user:
            self.headers = {"Authorization": "Bearer " + user["token"]}
        else:
            self.headers = {}
            with tempfile.NamedTemporaryFile() as both:
                both.write(_pem(user, "client-certificate") + b"\n" + _pem(user, "client-key"))
                both.flush()
                self.tls.load_cert_chain(both.name)
        self.headers["User-Agent"] = "flagsmith-bench"
        self.local = threading.local()

    def connect(self, timeout=TIMEOUT):
        return http.client.HTTPSConnection(
            self.address.hostname, self.address.port, timeout=timeout, context=self.tls
        )

    def request(self, method, where, body=None, kind="application/json"):
        """The decoded answer. A body may be encoded already (bytes)."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        for last in (False, True):
            if not hasattr(self.local, "connection"):
                self.local.connection = self.connect()
            try:
                self.local.connection.request(method, where, data, {**self.headers, "Content-Type": kind})
                response = self.local.connection.getresponse()
                answer = response.read()
                break
            except Exception as error:
                del self.local.connection
                # The server closes a connection that was idle for long, without having read the request.
                if last or not isinstance(error, ConnectionError):
                    raise
        if response.status >= 300:
            raise Refused(method, where, response.status, answer)
        return json.loads(answer)

    def apply(self, where, body):
        where += "?fieldManager=flagsmith-bench&force=true"
        return self.request("PATCH", where, body, "application/apply-patch+yaml")

    def merge(self, where, body):
        return self.request("PATCH", where, body, "application/merge-patch+json")

    def each(self, work, items):
        """Calls work(item) for all items, PARALLEL at a time; raises the first failure."""
        todo, failures = queue.SimpleQueue(), []
        for item in items:
            todo.put(item)

        def worker():
            while not failures:
                try:
                    work(todo.get_nowait())
                except queue.Empty:
                    return
                except Exception as failure:
                    failures.append(failure)

        threads = [threading.Thread(target=worker) for _ in range(PARALLEL)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]

    def watch(self, resource, namespace, seen):
        """Calls seen(type, object, monotonic time) for every event from now on, in a thread of its own."""
        return Watch(self, path(resource, namespace), seen)


class Watch:
    def __init__(self, cluster, where, seen):
        version = cluster.request("GET", where + "?limit=1")["metadata"]["resourceVersion"]
        self.connection = cluster.connect(timeout=None)
        query = f"?watch=true&resourceVersion={version}&timeoutSeconds=3600"
        self.connection.request("GET", where + query, headers=cluster.headers)
        self.response = self.connection.getresponse()
        self.error = None
        self.thread = threading.Thread(target=self._run, args=(seen,), daemon=True)
        self.thread.start()

    def _run(self, seen):
        try:
            while line := self.response.readline():
                now = time.monotonic()
                event = json.loads(line)
                seen(event["type"], event["object"], now)
            self.error = "the watch ended"
        except Exception as error:
            self.error = error

    def check(self):
        """Raises when the watch has ended: what waits for it would wait for ever."""
        if self.error is not None:
            raise RuntimeError(f"a watch of the benchmark ended: {self.error}")


def _pem(section, name):
    if name + "-data" in section:
        return base64.b64decode(section[name + "-data"])
    with open(section[name], "rb") as file:
        return file.read()
