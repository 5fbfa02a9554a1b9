"""The table: measured, budget, floor. Budgets are those of the project; a figure beyond its budget is marked."""

import json
import os

OVER = "**over**"


def load(work):
    results = {}
    for file in sorted(os.listdir(work)):
        if file.startswith("result-"):
            with open(os.path.join(work, file), encoding="utf-8") as text:
                results[file.removeprefix("result-").removesuffix(".json")] = json.load(text)
    return results


def row(figure, measured, budget="–", floor="–", over=False):
    return f"| {figure} | {measured}{' ' + OVER if over else ''} | {budget} | {floor} |"


def limited(figure, value, limit, text, floor="–"):
    """A row whose value must not be above limit; text formats both."""
    return row(figure, text.format(value), text.format(limit), floor, value > limit)


def creation(results):
    for name in sorted((name for name in results if name.startswith("create-")), key=lambda it: int(it[7:])):
        it, count = results[name], int(name[7:])
        floor = results.get(f"floor-{count}")
        least = floor and f"{floor['available']:.1f} s"
        what = f"{count} installation{'s' * (count > 1)}"
        yield row(f"{what}: all Ready", f"{it['ready']:.1f} s", "–", "–")
        if floor:
            ratio = it["available"] / floor["available"]
            # The budget is for a hundred: with few, the time is the migration's, which a floor does not wait for.
            budget = "≤ 1.20 × floor" if count >= 100 else "–"
            measured = f"{it['available']:.1f} s = {ratio:.2f} × floor"
            yield row(f"{what}: all Available", measured, budget, least, count >= 100 and ratio > 1.2)
        else:
            yield row(f"{what}: all Available", f"{it['available']:.1f} s")
        cpu = f"{floor['cpu']:.1f} s (the stub)" if floor else "–"
        limit = 2 if count >= 100 else None
        measured = f"{it['cpu']:.2f} s; {it['cpu_quiet']:.2f} s until quiet"
        yield row(f"{what}: CPU until then", measured, "2 s" if limit else "–", cpu, bool(limit and it["cpu"] > limit))
        writes = f"{floor['writes']}" if floor else "–"
        yield limited(f"{what}: requests each until quiet", it["calls"] / count, 30, "{:.1f}")
        yield limited(f"{what}: of them writes", it["writes"] / count, 25, "{:.1f}", writes)
        if count == 1:
            yield limited("resident memory, idle", it["idle"]["now"], 30, "{:.1f} MiB")
        if count == 100:
            text = f"{it['memory']['now']:.1f} MiB, highest {it['memory']['highest']:.1f}"
            yield row("resident memory, 100 installations", text, "40.0 MiB", "–", it["memory"]["now"] > 40)
        if "steady_reads" in it:
            yield from afterwards(it, count)


def afterwards(it, count):
    yield limited("steady state: API reads per installation and minute", it["steady_reads"], 1, "{:.2f}")
    yield limited("steady state: writes per installation and minute", it["steady_writes"], 0, "{:.3f}", "0")
    # The budget is stated for 100 installations.
    yield limited("steady state: CPU with SQL probes", it["steady_cores"], count / 10_000, "{:.4f} core")
    memory = it["steady_memory"]
    text = f"{memory['now']:.1f} MiB, highest {memory['highest']:.1f}"
    yield row("steady state: resident memory with SQL probes", text, "40.0 MiB", "–", memory["now"] > 40)
    for key, what in (("change", "spec change → child changed"), ("repair", "deleted child → back")):
        reaction, write = it[key]["reaction"], it[key]["write"]
        over = reaction["p50"] > 0.02 or reaction["p99"] > 0.1
        floor = f"{milliseconds(write)} (the write that caused it)"
        yield row(f"{what}, p50 / p99", milliseconds(reaction), "20 / 100 ms", floor, over)


def milliseconds(quantiles):
    return f"{quantiles['p50'] * 1000:.0f} / {quantiles['p99'] * 1000:.0f} ms"


def thousand(results):
    for name in (name for name in results if name.startswith("many-")):
        it, count = results[name], int(name[5:])
        what = f"{count:,} installations without pods"
        yield row(f"{what}: until quiet", f"{it['seconds']:.0f} s; CPU {it['cpu']:.1f} s")
        yield row(f"{what}: requests / writes each", f"{it['calls'] / count:.1f} / {it['writes'] / count:.1f}")
        text = f"{it['memory']['now']:.1f} MiB, highest {it['memory']['highest']:.1f}"
        yield row(f"{what}: resident memory", text, "64.0 MiB", "–", it["memory"]["now"] > 64)
        again = it["restart"]
        text = f"{again['memory']['now']:.1f} MiB, highest {again['memory']['highest']:.1f}"
        yield row(f"restart with {count:,}: resident memory", text, "64.0 MiB", "–", again["memory"]["now"] > 64)
        yield row(f"restart with {count:,}: CPU in 40 s", f"{again['cpu']:.1f} s")
        lists = {call: number for call, number in again["table"].items() if call.startswith("list ")}
        text = ", ".join(f"{call.removeprefix('list ')} {number}" for call, number in sorted(lists.items()))
        yield row(f"restart with {count:,}: list requests", text, "one paged list per kind")
        others = ", ".join(f"{call} {number}" for call, number in again["table"].items() if call not in lists)
        yield row(f"restart with {count:,}: writes", again["writes"], "0", "–", again["writes"] > 0)
        yield row(f"restart with {count:,}: other requests", others or "none")


def beside_broken(results):
    for name in (name for name in results if name.startswith("broken-")):
        it, count = results[name], int(name[7:])
        kinds = ", ".join(f"{number} {kind}" for kind, number in it["broken"].items())
        what = f"{count} installations beside broken databases ({kinds})"
        without, beside = (milliseconds(it[key]["reaction"]) for key in ("without", "beside"))
        text = f"{beside}, without them {without}"
        yield row(f"{what}: spec change → child changed, p50 / p99", text)
        # Other work on the machine comes and goes between the two: then the writes themselves take longer, too.
        writes = it["beside"]["write"]["p99"] / it["without"]["write"]["p99"]
        floor = f"{writes:.2f} × (the writes that cause it)"
        yield limited(f"{what}: p99 to p99 without", it["quotient"], 2, "{:.2f} ×", floor)
        before, after = it["cores"]
        yield row(f"{what}: CPU meanwhile", f"{after:.3f} core, without them {before:.3f}")


def binary(facts):
    size = facts["binary_bytes"] / 1e6
    yield limited("release binary", size, 25, "{:.1f} MB")
    seconds = facts.get("build_seconds")
    if seconds is None:
        yield row("cold release build", "not measured (`--cold-build`)", "8 min")
    else:
        yield row("cold release build", f"{seconds / 60:.1f} min", "8 min", "–", seconds > 480)


def calls(results):
    """Where the requests go."""
    for name, it in results.items():
        if name.startswith("create-"):
            count = int(name[7:])
            yield f"\nRequests per installation until quiet, {count} at once:\n"
            yield "| request | each |\n|---|---|"
            for call, number in it["table"].items():
                yield f"| {call} | {number / count:.2f} |"
            if it.get("steady_table"):
                text = ", ".join(f"{call} {number}" for call, number in it["steady_table"].items())
                yield f"\nIn steady state, all {count} together in 3 minutes: {text}."


def render(work):
    results = load(work)
    facts = results.pop("facts")
    lines = [f"Measured on {facts['machine']}.\n", "| figure | measured | budget | floor |", "|---|---|---|---|"]
    lines += [*creation(results), *thousand(results), *beside_broken(results), *binary(facts), *calls(results)]
    over = sum(OVER in line for line in lines)
    lines.append(f"\n{over} figure{'s' * (over != 1)} over budget." if over else "\nEvery budget is kept.")
    return "\n".join(lines) + "\n"
