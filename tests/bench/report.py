"""The tables: one per topic and scenario, each with one row per peer; and the figures in them.

A figure in parentheses is the lowest and the highest round. `vs Go` is the ratio to the reference, round by round.
`best` compares the fastest rounds, which stand for a quiet machine if each peer had one on it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from pwasm_compiler.bench.figures import added, added_microseconds, best_added, best_added_microseconds, ratios, spread

from .measure import MORE_WORKERS, OLDER, Row
from .peers import BASELINE, FLOOR, PREVIOUS, PRODUCT, REFERENCE
from .scenarios import DETAILED
from .servers import Start
from .tables import NONE, number, table, with_range

_MB = 1e6
_STEADY = 1.2
_STAGES = {"runtime, uncached s": "runtime", "freeze, uncached s": "freeze", "link, uncached s": "link"}
Values = Callable[[Row], list[float]]
Figures = dict[str, list[float]]
"""For each peer that was measured, its rounds."""


def report(scenario: str, about: str, rows: Sequence[Row]) -> str:
    """All tables of one scenario."""
    parts = (
        f'## Scenario "{scenario}": {about}',
        f"### Time added to a request ({scenario})",
        load_table(rows),
        steadiness(loops(rows)),
        f"### Microseconds of a request in each callback, in Envoy's V8 ({scenario})",
        callback_table(rows),
        f"### Load into Envoy ({scenario})",
        start_table(rows),
        *_older(scenario, rows),
        f"### Memory ({scenario})",
        memory_table(rows),
        f"### Build ({scenario})",
        build_table(rows),
    )
    return "\n\n".join(parts)


def load_table(rows: Sequence[Row]) -> str:
    """Requests per second at saturation, and what a request costs more than without a filter.

    The second cost is the processor time of the whole Envoy per request, which does not contain waiting.
    """
    columns = (
        "filter",
        "requests/s",
        "added µs",
        "vs Go",
        "vs floor",
        "best",
        "vs Go",
        "added CPU µs",
        "best",
        "vs Go",
        "p99 µs",
        "RSS grew MB (in requests)",
    )
    time_added = added_time(rows)
    best_time = _above_baseline(rows, "load", _per_second, best_added_microseconds)
    cpu_added = _above_baseline(rows, "load", _cpu, added)
    best_cpu = _above_baseline(rows, "load", _cpu, best_added)

    def cells(row: Row) -> tuple[str, ...]:
        return (
            number(statistics.median(_per_second(row)), ",.0f"),
            with_range(spread(time_added.get(row.peer, [])), ".1f"),
            _times_go(row, time_added),
            _times(FLOOR, row, time_added),
            _median(best_time.get(row.peer, []), ".1f"),
            _times_go(row, best_time),
            with_range(spread(cpu_added.get(row.peer, [])), ".1f"),
            _median(best_cpu.get(row.peer, []), ".1f"),
            _times_go(row, best_cpu),
            number(statistics.median(sample.p99 for sample in row.samples), ".0f"),
            NONE if row.growth is None else f"{number(row.growth.rss_bytes / _MB, '.1f')} ({row.growth.requests:,})",
        )

    return _table(columns, rows, "load", cells)


def loops(rows: Sequence[Row]) -> list[float]:
    """How long the same loop took before each round, in milliseconds."""
    return [sample.loop for row in rows for sample in row.samples]


def steadiness(milliseconds: Sequence[float]) -> str:
    """How far the figures of the load can be trusted."""
    found = spread(milliseconds)
    if found is None:
        return "Nothing was put under load."
    advice = (
        "the machine was quiet"
        if found.high < _STEADY * found.low
        else "it was not quiet, so these are no final figures"
    )
    return f"Before each round the same loop took {with_range(found, '.1f')} ms: {advice}."


def callback_table(rows: Sequence[Row]) -> str:
    """What a request spends inside the module, with the hostcalls; the rest of what it costs more is Envoy's."""
    measured = [row for row in rows if row.callbacks]
    spent = {row.peer: _by_callback(row) for row in measured}
    names = sorted({name for callbacks in spent.values() for name in callbacks})
    cells = [
        (name.removeprefix("proxy_"), *(number(spent[row.peer].get(name), ".2f") for row in measured)) for name in names
    ]
    total = ("together", *(number(sum(spent[row.peer].values()), ".2f") for row in measured))
    problems = [(row.peer, row.problems["callbacks"]) for row in rows if "callbacks" in row.problems]
    parts = [table(("callback", *(row.peer for row in measured)), [*cells, total])] if measured else []
    parts += [f"{peer}: {why}." for peer, why in problems]
    return "\n\n".join(parts) or "Nothing was measured."


def _by_callback(row: Row) -> dict[str, float]:
    return {item.name: item.calls_per_request * item.microseconds for item in row.callbacks}


def start_table(rows: Sequence[Row]) -> str:
    """Seconds from the start of the process until it is ready, and processor time until then."""
    columns = (
        "filter",
        "ready s",
        "added s",
        "vs Go",
        "processor s",
        "vs Go",
        "first answer s",
        "module MB",
        "reload ms",
    )
    start_added = added_start(rows)
    used = start_cpu(rows)

    def cells(row: Row) -> tuple[str, ...]:
        return (
            number(statistics.median(_ready(row)), ".2f"),
            with_range(spread(start_added.get(row.peer, [])), ".2f"),
            _times_go(row, start_added),
            with_range(spread(used[row.peer]), ".2f"),
            _times_go(row, used),
            number(statistics.median(start.answer_seconds for start in row.starts), ".2f"),
            number(None if row.module_bytes is None else row.module_bytes / _MB, ".2f"),
            with_range(spread(row.reloads), ".1f") if row.measured("reload") else row.problems["reload"],
        )

    return _table(columns, rows, "start", cells)


def _older(scenario: str, rows: Sequence[Row]) -> tuple[str, ...]:
    """The same in an older Envoy, of those that were to be started there."""
    if scenario != DETAILED:
        return ()
    rows = [row for row in rows if row.older or not row.measured("older")]
    return f"### Load into Envoy {OLDER} ({scenario})", older_table(rows)


def older_table(rows: Sequence[Row]) -> str:
    """Start and memory in an older Envoy."""
    columns = ("filter", "ready s", "processor s", "vs Go", "RSS MB", "machine code MB", "vs Go")
    used, code = older_cpu(rows), older_code(rows)

    def cells(row: Row) -> tuple[str, ...]:
        return (
            number(statistics.median(start.ready_seconds for start in row.older), ".2f"),
            with_range(spread(used[row.peer]), ".2f"),
            _times_go(row, used),
            number(statistics.median(start.rss_bytes / _MB for start in row.older), ".0f"),
            _median(code[row.peer], ".1f"),
            _times_go(row, code),
        )

    return _table(columns, rows, "older", cells)


def memory_table(rows: Sequence[Row]) -> str:
    """Resident memory of Envoy soon after its start, what of that is machine code, and after idle seconds.

    "released" is of an Envoy whose memory_allocator_manager gives back what its allocator keeps.
    """
    columns = (
        "filter",
        "RSS MB",
        "added MB",
        "vs Go",
        "machine code MB",
        "vs Go",
        "per worker MB",
        "idle RSS MB",
        "added MB",
        "vs Go",
        "released MB",
        "added MB",
        "vs Go",
    )
    now, worker, code = added_memory(rows), added_memory_per_worker(rows), start_code(rows)
    idle, released = added_idle(rows), added_released(rows)

    def cells(row: Row) -> tuple[str, ...]:
        return (
            number(statistics.median(_memory(row)), ".0f"),
            _median(now.get(row.peer, []), ".0f"),
            _times_go(row, now),
            _median(code[row.peer], ".1f"),
            _times_go(row, code),
            _median(worker.get(row.peer, []), ".1f"),
            *(
                cell
                for values, above in ((idle_memory(row), idle), (released_memory(row), released))
                for cell in (
                    _median(values, ".0f"),
                    _median(above.get(row.peer, []), ".0f"),
                    _times_go(row, above),
                )
            ),
        )

    problems = [
        f"{row.peer}, {topic}: {row.problems[topic]}."
        for row in rows
        if row.measured("start")
        for topic in ("idle", "released")
        if not row.measured(topic)
    ]
    return "\n\n".join([_table(columns, rows, "start", cells), *problems])


def build_table(rows: Sequence[Row]) -> str:
    """Seconds for the first build, with empty caches, after an edit of the filter, and after a new dependency.

    Stages are those of the first build.
    """
    columns = ("filter", "first build s", "after an edit s", "vs Go", "new dependency s", *_STAGES)
    times = {row.peer: list(row.prepared.build.next) for row in rows if row.prepared.build}

    def cells(row: Row) -> tuple[str, ...]:
        build = row.prepared.build
        if build is None:
            return (NONE,) * (4 + len(_STAGES))
        return (
            number(build.first, ".2f"),
            with_range(spread(build.next), ".2f"),
            _times_go(row, times),
            number(build.dependency, ".2f"),
            *(number(build.stages.get(stage), ".2f") for stage in _STAGES.values()),
        )

    built = [row for row in rows if row.prepared.build or not row.measured("build")]
    return _table(columns, built, "build", cells)


def _table(columns: Sequence[str], rows: Sequence[Row], topic: str, cells: Callable[[Row], tuple[str, ...]]) -> str:
    return table(
        columns, [(row.peer, *(cells(row) if row.measured(topic) else (row.problems[topic],))) for row in rows]
    )


def added_time(rows: Sequence[Row]) -> Figures:
    """Microseconds per request at saturation."""
    return _above_baseline(rows, "load", _per_second, added_microseconds)


def added_start(rows: Sequence[Row]) -> Figures:
    """Seconds until Envoy is ready."""
    return _above_baseline(rows, "start", _ready, added)


def start_cpu(rows: Sequence[Row]) -> Figures:
    """Processor seconds of the whole Envoy until it is ready."""
    return _of_starts(rows, "start", lambda start: start.cpu_seconds)


def start_code(rows: Sequence[Row]) -> Figures:
    """Megabytes of machine code, with one worker."""
    return _of_starts(rows, "start", lambda start: start.code_bytes / _MB)


def older_cpu(rows: Sequence[Row]) -> Figures:
    """Processor seconds of the older Envoy until it is ready."""
    return _of_starts(rows, "older", lambda start: start.cpu_seconds)


def older_code(rows: Sequence[Row]) -> Figures:
    """Megabytes of machine code in the older Envoy."""
    return _of_starts(rows, "older", lambda start: start.code_bytes / _MB)


def _of_starts(rows: Sequence[Row], topic: str, value: Callable[[Start], float]) -> Figures:
    starts = {row.peer: row.older if topic == "older" else row.starts for row in rows if row.measured(topic)}
    return {peer: [value(start) for start in found] for peer, found in starts.items() if found}


def added_memory(rows: Sequence[Row]) -> Figures:
    """Megabytes, with one worker."""
    return _above_baseline(rows, "start", _memory, added)


def added_memory_per_worker(rows: Sequence[Row]) -> Figures:
    """Megabytes for each further worker."""
    return _above_baseline(rows, "start", _memory_per_worker, added)


def idle_memory(row: Row) -> list[float]:
    """Megabytes of the whole Envoy after idle seconds."""
    return [] if row.idle_bytes is None else [row.idle_bytes / _MB]


def released_memory(row: Row) -> list[float]:
    """The same, of an Envoy that gives back what its allocator keeps."""
    return [] if row.released_bytes is None else [row.released_bytes / _MB]


def added_idle(rows: Sequence[Row]) -> Figures:
    """Megabytes after idle seconds."""
    return _above_baseline([row for row in rows if idle_memory(row)], "idle", idle_memory, added)


def added_released(rows: Sequence[Row]) -> Figures:
    """Megabytes after idle seconds, both of an Envoy that gives back what its allocator keeps."""
    return _above_baseline([row for row in rows if released_memory(row)], "released", released_memory, added)


def added_against_previous(rows: Sequence[Row]) -> Figures:
    """The product's added time as a multiple of what it was before this round of work."""
    return _against_previous(added_time(rows))


def request_against_previous(rows: Sequence[Row]) -> Figures:
    """The same of the whole request, Envoy's part included."""
    return _against_previous(
        {row.peer: [1 / rate for rate in _per_second(row)] for row in rows if row.measured("load")}
    )


def _against_previous(figures: Figures) -> Figures:
    if PRODUCT not in figures or PREVIOUS not in figures:
        return {}
    return {PRODUCT: ratios(figures[PRODUCT], figures[PREVIOUS])}


def _above_baseline(
    rows: Sequence[Row],
    topic: str,
    values: Values,
    difference: Callable[[Sequence[float], Sequence[float]], list[float]],
) -> Figures:
    """For each peer that was measured, round by round, what is above the baseline."""
    measured = {row.peer: values(row) for row in rows if row.measured(topic)}
    baseline = measured.pop(BASELINE, None)
    if baseline is None:
        return {}
    return {peer: difference(rounds, baseline) for peer, rounds in measured.items()}


def _per_second(row: Row) -> list[float]:
    return [sample.requests_per_second for sample in row.samples]


def _cpu(row: Row) -> list[float]:
    return [sample.cpu for sample in row.samples]


def _ready(row: Row) -> list[float]:
    return [start.ready_seconds for start in row.starts]


def _memory(row: Row) -> list[float]:
    return [start.rss_bytes / _MB for start in row.starts]


def _memory_per_worker(row: Row) -> list[float]:
    pairs = zip(row.more_workers, row.starts, strict=True)
    return [(more.rss_bytes - one.rss_bytes) / _MB / (MORE_WORKERS - 1) for more, one in pairs]


def _times_go(row: Row, figures: Figures) -> str:
    return _times(REFERENCE, row, figures)


def _times(peer: str, row: Row, figures: Figures) -> str:
    reference = figures.get(peer)
    if reference is None or row.peer not in figures:
        return NONE
    return _median(ratios(figures[row.peer], reference), ".2f")


def _median(values: Sequence[float], form: str) -> str:
    return number(statistics.median(values) if values else None, form)
