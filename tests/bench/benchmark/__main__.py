"""One scenario in the cluster of `testbed run`, or the report over all that were run."""

import argparse
import json
import os
import signal
import sys

from . import report, scenarios, soak

SCENARIOS = {
    "create": scenarios.create,
    "floor": scenarios.floor,
    "many": scenarios.many,
    "broken": scenarios.broken,
    "soak": soak.soak,
}


def main():
    parser = argparse.ArgumentParser(prog="benchmark")
    parser.add_argument("scenario", choices=(*SCENARIOS, "report"))
    parser.add_argument("--work", required=True, help="directory for results and logs")
    parser.add_argument("--operator", help="the binary")
    parser.add_argument("--count", type=int, help="installations")
    parser.add_argument("--more", action="store_true", help="measure latencies and the steady state, too")
    parser.add_argument("--minutes", type=float, default=60, help="how long installations come, change and go")
    options = parser.parse_args()
    # Python ends at once by SIGTERM; an exception lets the processes that were started end first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.scenario == "report":
        sys.stdout.write(report.render(options.work))
        return
    figures = SCENARIOS[options.scenario](options)
    name = f"result-{options.scenario}-{options.count}.json"
    with open(os.path.join(options.work, name), "w", encoding="utf-8") as out:
        json.dump(figures, out, indent=1)
    brief = {key: value for key, value in figures.items() if not key.endswith("table") and key != "samples"}
    print(f"bench: {options.scenario} {options.count}: {json.dumps(brief)}", file=sys.stderr)
    if figures.get("failures"):
        sys.exit(1)


main()
