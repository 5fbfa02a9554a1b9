"""What the API server's audit log says about the operator's requests."""

import collections
import json
import os

AGENT = b'"userAgent":"flagsmith-operator/'
READS = ("get", "list", "watch")


class Audit:
    """Reads the log from where it was opened, as far as it has been written."""

    def __init__(self, directory, agent=AGENT):
        self.agent = agent
        self.file = open(os.path.join(directory, "audit.log"), "rb")
        self.file.seek(0, os.SEEK_END)
        self.rest = b""

    def calls(self):
        """All calls since the last time, as (verb, resource, name)."""
        *lines, self.rest = (self.rest + self.file.read()).split(b"\n")
        found = []
        for line in lines:
            if self.agent in line:
                event = json.loads(line)
                # The log of a pod is a long request as a watch is: it has an entry where it begins, and one where it ends.
                if event["stage"] == "ResponseStarted" and event["verb"] != "watch":
                    continue
                target = event.get("objectRef", {})
                resource = "/".join(
                    part for part in (target.get("resource", event["requestURI"]), target.get("subresource")) if part
                )
                found.append((event["verb"], resource, target.get("name", "")))
        return found


def about_installations(calls):
    """Without the lease and without the watches, which do not grow with the number of installations."""
    return [call for call in calls if call[1] not in ("leases", "customresourcedefinitions") and call[0] != "watch"]


def writes(calls):
    return [call for call in calls if call[0] not in READS]


def table(calls):
    """{"verb resource": count}"""
    return dict(collections.Counter(f"{verb} {resource}" for verb, resource, _ in calls).most_common())
