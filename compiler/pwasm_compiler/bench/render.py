"""A `Report` as text."""

from __future__ import annotations

from .figures import Spread
from .report import Pair, Report

_NAME, _NUMBER = 30, 12


def render(report: Report) -> str:
    """Several lines: what was measured, the table, the callbacks, caveats."""
    parts = [_head(report), _figures(report), _callbacks(report), _remarks(report)]
    return "\n\n".join(part for part in parts if part)


def _head(report: Report) -> str:
    options = report.options
    until = "" if options["requests"] is None else f" or {options['requests']:,} requests"
    return "\n".join(
        (
            f"{report.filter}: {report.module_megabytes:.1f} MB, in Envoy {report.envoy}",
            f"{report.request} was answered with {report.status['without']} without the filter, "
            f"{report.status['with']} with it",
            f"{report.client}, {counted(options['connections'], 'connection')}; "
            f"{counted(options['rounds'], 'round')} of {options['seconds']} s{until}; "
            f"{counted(options['concurrency'], 'worker')}",
        )
    )


def counted(number: int | None, what: str) -> str:
    """A number with its noun: `1 round`, `2 functions`."""
    return f"{number} {what}" + ("" if number == 1 else "s")


def _figures(report: Report) -> str:
    rows = [
        _row("", "without", "with", "added (lowest … highest)"),
        _pair_row("requests/s", report.requests_per_second, ",.0f"),
        _pair_row("time per request, µs", report.microseconds, ".1f"),
        _pair_row("processor time per request, µs", report.cpu_microseconds, ".1f"),
        _pair_row("slowest 1 %, µs", report.p99_microseconds, ".0f"),
        _pair_row("start of Envoy, s", report.load_seconds, ".2f"),
        _pair_row("memory, MB", report.memory_megabytes, ".1f"),
        _row("  each additional worker", "", "", f"{report.memory_per_worker:.1f}"),
        _pair_row(f"  growth in {report.requests:,} requests", report.memory_grown, ".1f"),
    ]
    return "\n".join(rows)


def _pair_row(name: str, pair: Pair, form: str) -> str:
    shown = "" if pair.added is None else _spread(pair.added, form)
    return _row(name, f"{pair.without.median:{form}}", f"{pair.with_filter.median:{form}}", shown)


def _row(name: str, without: str, with_filter: str, more: str) -> str:
    return f"{name:<{_NAME}}  {without:>{_NUMBER}}  {with_filter:>{_NUMBER}}  {more}".rstrip()


def _spread(value: Spread, form: str) -> str:
    if value.low == value.high:
        return f"{value.median:{form}}"
    return f"{value.median:{form}} ({value.low:{form}} … {value.high:{form}})"


def _callbacks(report: Report) -> str:
    if not report.callbacks:
        return ""
    names = [callback.name.removeprefix("proxy_") for callback in report.callbacks]
    rows = [_row("callback", "calls", "µs a call", "µs a request")]
    total = 0.0
    for name, callback in zip(names, report.callbacks, strict=True):
        each = callback.calls_per_request * callback.microseconds
        total += each
        rows.append(_row(name, f"{callback.calls_per_request:.2f}", f"{callback.microseconds:.2f}", f"{each:.2f}"))
    rows.append(_row("together", "", "", f"{total:.2f}"))
    return "\n".join(rows)


def _remarks(report: Report) -> str:
    remarks = list(report.problems)
    if report.other_answers:
        remarks.append(
            f"{report.other_answers:,} of {report.requests:,} requests were answered with a status outside 200 to 399"
        )
    if report.microseconds.added is None:
        remarks.append(
            "the time added by the filter is unknown, because only wrk saturates Envoy; see the processor time"
            if report.client != "wrk"
            else "the time added by the filter is only known for a single worker; see the processor time"
        )
    return "\n".join(f"note: {remark}" for remark in remarks)
