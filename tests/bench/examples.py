"""Figures of a run that never was, for the tests of what is made of figures."""

from __future__ import annotations

import dataclasses

from pwasm_compiler.bench.report import Callback

from . import measure
from .builders import BuildTimes
from .machine import Machine
from .measure import Growth, Row, Sample, Settings
from .peers import BASELINE, OPTIMISED, PREVIOUS, REFERENCE, Prepared
from .publish import Run
from .servers import Start
from .summary import Summary, summarise

START = Start(0.1, 0.1, 70_000_000, 0.05, 0)
IDLE = 71_000_000
INSIDE = (Callback("proxy_on_request_headers", 1.0, 2.0), Callback("proxy_on_response_headers", 0.5, 3.0))


def example_rows() -> list[Row]:
    """Two rounds of some peers: one lacks its tool, one failed, and one does not run in the older Envoy."""
    base = [Sample(50_000, 150, 800, 18, 9.5), Sample(40_000, 180, 900, 20, 9.6)]
    faster = [Sample(42_000, 180, 900, 22, 9.7), Sample(33_000, 210, 1000, 26, 17.0)]
    slower = [Sample(40_000, 180, 900, 22, 9.7), Sample(32_000, 210, 1000, 26, 17.0)]
    starts = [Start(0.09, 0.1, 66_000_000, 0.08, 0), Start(0.11, 0.12, 67_000_000, 0.1, 0)]
    go = [Start(1.2, 1.3, 140_000_000, 2.0, 4_000_000), Start(1.3, 1.4, 142_000_000, 2.2, 4_000_000)]
    light = [Start(0.6, 0.7, 120_000_000, 0.8, 2_000_000), Start(0.6, 0.7, 122_000_000, 0.8, 2_000_000)]
    heavier = [Start(3.0, 3.1, 246_000_000, 1.6, 4_500_000), Start(2.8, 2.9, 250_000_000, 1.8, 4_500_000)]
    workers = [dataclasses.replace(start, rss_bytes=start.rss_bytes + 20_000_000) for start in heavier]
    build = BuildTimes(12.2, (0.9, 1.1), {"runtime": 9.4, "freeze": 1.7, "link": 0.6}, 2.4)
    none = "failed: Envoy ended with exit code 1"
    return [
        Row(
            BASELINE,
            starts=starts,
            more_workers=starts,
            older=starts,
            idle_bytes=66_000_000,
            released_bytes=60_000_000,
            samples=base,
        ),
        Row("floor (WAT)", starts=starts, more_workers=starts, problems={"load": "failed: wrk: Socket errors: read 3"}),
        Row(
            REFERENCE,
            Prepared(build=BuildTimes(7.0, (1.0, 1.2))),
            2_100_000,
            starts=go,
            more_workers=go,
            older=go,
            idle_bytes=141_000_000,
            released_bytes=126_000_000,
            reloads=[3.0, 4.0],
            samples=slower,
            callbacks=INSIDE[:1],
        ),
        Row(
            OPTIMISED,
            starts=light,
            more_workers=light,
            idle_bytes=122_000_000,
            samples=slower,
            problems={"older": none, "released": none},
        ),
        Row("TinyGo", problems=dict.fromkeys(measure.TOPICS, "not measured: tinygo is not installed")),
        Row(PREVIOUS, starts=heavier, more_workers=workers, samples=faster),
        Row(
            "pwasm",
            Prepared(build=build),
            9_000_000,
            starts=heavier,
            more_workers=workers,
            older=heavier,
            idle_bytes=176_000_000,
            released_bytes=160_000_000,
            reloads=[24.0, 22.0],
            samples=slower,
            growth=Growth(9000, 200_000),
            callbacks=INSIDE,
        ),
    ]


def summary() -> Summary:
    """That of a run without the JSON scenario."""
    return summarise({"headers": example_rows()})


def example_run() -> Run:
    """That run, as it is published."""
    machine = Machine(2, "a processor", "Linux 6", "1.40.0", "3.11.7", 0.1, "2026-12-01 10:00 UTC")
    return Run(summary(), machine, Settings())
