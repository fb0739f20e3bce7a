"""The benchmark's own parts, without Envoy, wrk or a build."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import threading
import xml.etree.ElementTree
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pwasm_compiler.bench.figures import Spread, added_microseconds, best_added, best_added_microseconds, ratios, spread
from pwasm_compiler.bench.load import LoadResult, Request, parse_wrk, run_wrk, wrk_script
from pwasm_compiler.bench.process import cpu_seconds, rss_bytes
from pwasm_compiler.bench.report import Callback
from pwasm_compiler.build.backends.tinygo import TINYGO
from pwasm_compiler.envoy.config import Upstream
from pwasm_compiler.envoy.process import Envoy
from pwasm_compiler.errors import ToolError

from . import cli, measure
from .builders import BuildTimes, Edit, build_at, build_go
from .chart import chart
from .marks import MARKS, marks_table, met
from .measure import Growth, Row, Sample
from .peers import BASELINE, FLOOR, PEERS, PRODUCT, REFERENCE, Peer, Prepared
from .problems import BenchError, NotMeasuredError
from .report import report
from .scenarios import SCENARIOS, Scenario
from .servers import Start, check_answer, configuration
from .summary import FIGURES, Summary, summarise
from .tables import table

WRK = """\
Running 3s test @ http://127.0.0.1:10000/
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   190.11us  151.94us   6.02ms   97.40%
    Req/Sec    43.80k     1.61k   46.20k    74.19%
  Latency Distribution
     50%  171.00us
     75%  195.00us
     90%  231.00us
     99%    1.25ms
  135120 requests in 3.10s, 22.55MB read
Requests/sec:  43587.02
Transfer/sec:      7.27MB
"""


def test_wrk_output() -> None:
    assert parse_wrk(WRK) == LoadResult(135120, 43587.02, 171.0, 1250.0)


def test_wrk_output_with_answers_that_are_no_success() -> None:
    text = WRK.replace("Requests/sec:", "  Non-2xx or 3xx responses: 17\nRequests/sec:")
    assert parse_wrk(text) == LoadResult(135120, 43587.02, 171.0, 1250.0, 17)


def test_a_run_with_failed_sockets_is_no_figure() -> None:
    line = "  Socket errors: connect 0, read 3, write 0, timeout 1"
    with pytest.raises(ToolError, match="wrk: Socket errors: connect 0, read 3, write 0, timeout 1"):
        parse_wrk(WRK.replace("Requests/sec", f"{line}\nRequests/sec"))


@pytest.mark.parametrize(
    "text",
    ["", WRK.replace("Requests/sec:", "Requests:"), WRK.replace("135120", "0"), WRK.replace("171.00us", "171.00xs")],
    ids=["empty", "no-rate", "no-requests", "unknown-unit"],
)
def test_an_output_that_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises(ToolError, match="wrk"):
        parse_wrk(text)


@pytest.mark.programs
def test_wrk_that_fails_is_an_error(fake_wrk: Callable[[str], None]) -> None:
    fake_wrk("echo unable to connect >&2; exit 1")
    with pytest.raises(ToolError, match="exit code 1: unable to connect"):
        run_wrk("http://127.0.0.1:1", Request(), 1)


@pytest.mark.programs
def test_wrk_is_started_with_its_options(fake_wrk: Callable[[str], None], tmp_path: Path) -> None:
    (tmp_path / "output").write_text(WRK, encoding="utf-8")
    fake_wrk(f'echo "$@" > {tmp_path}/arguments; cat {tmp_path}/output')
    assert run_wrk("http://127.0.0.1:1", Request(path="/a"), 2).requests == 135120
    assert (tmp_path / "arguments").read_text(encoding="utf-8") == "-t1 -c8 -d2s --latency http://127.0.0.1:1/a\n"


@pytest.mark.programs
def test_wrk_is_given_a_script_for_what_is_no_plain_get(fake_wrk: Callable[[str], None], tmp_path: Path) -> None:
    (tmp_path / "output").write_text(WRK, encoding="utf-8")
    fake_wrk(f'echo "$1" > {tmp_path}/option; cat "$2" > {tmp_path}/script; cat {tmp_path}/output')
    request = Request("POST", "/", {"x-one": "a"}, b'{"a":"\\n\xc3\xab"}')
    assert run_wrk("http://127.0.0.1:1", request, 2).requests == 135120
    assert (tmp_path / "option").read_text(encoding="utf-8") == "-s\n"
    assert (tmp_path / "script").read_text(encoding="utf-8") == (
        'wrk.method = "POST"\nwrk.headers["x-one"] = "a"\nwrk.body = "{\\034a\\034:\\034\\092n\\195\\171\\034}"\n'
    )
    assert not wrk_script(Request())


def test_added_time_is_that_of_the_same_round() -> None:
    assert added_microseconds([25_000, 20_000], [50_000, 40_000]) == pytest.approx([20.0, 25.0])
    with pytest.raises(ValueError, match="longer"):
        added_microseconds([25_000], [50_000, 40_000])


def test_best_added_time_is_that_of_the_fastest_rounds() -> None:
    assert best_added_microseconds([20_000, 25_000], [50_000, 40_000]) == pytest.approx([20.0])
    assert best_added([19.0, 18.0], [14.0, 15.0]) == [4.0]


def test_a_reference_lost_in_the_noise_has_no_ratio() -> None:
    assert ratios([4.0, 6.0, 5.0], [2.0, -0.1, 0.0]) == [2.0]


def test_spread() -> None:
    assert spread([3.0, 9.0, 1.0]) == Spread(3.0, 1.0, 9.0)
    assert spread([]) is None


def test_table_with_a_remark() -> None:
    rows = [("one", "1", "2.5"), ("a long name", "not measured: go is not\ninstalled")]
    assert table(("filter", "a", "b"), rows) == (
        "| filter      |   a |   b |\n"
        "| ----------- | --: | --: |\n"
        "| one         |   1 | 2.5 |\n"
        "| a long name | not measured: go is not installed |"
    )


def test_report(golden: Callable[[str, str], None]) -> None:
    golden("bench/report.md", report("headers", "what it does", example_rows()) + "\n")


def test_report_without_the_baseline() -> None:
    rows = example_rows()
    rows[0] = Row(BASELINE, problems=dict.fromkeys(measure.TOPICS, "failed: no"), failed=True)
    measure._require_the_baseline(rows)
    assert "not measured: there is no figure of 'no filter'" in report("headers", "", rows)


def test_a_missing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotMeasuredError) as caught:
        build_go(TINYGO, tmp_path, SCENARIOS[0], tmp_path, 1)
    assert str(caught.value) == "not measured: tinygo is not on PATH"


@pytest.mark.programs
def test_a_commit_that_is_not_there_is_named(tmp_path: Path) -> None:
    """As in a clone without history."""
    with pytest.raises(NotMeasuredError) as caught:
        build_at("0" * 40, tmp_path, SCENARIOS[0], tmp_path)
    assert str(caught.value) == f"not measured: git has no commit {'0' * 40}"


@pytest.mark.programs
def test_missing_tools_are_rows_and_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))  # neither wrk nor TinyGo
    start = Start(0.1, 0.1, 70_000_000)
    monkeypatch.setattr(measure, "measure_start", lambda *_: start)
    tinygo = next(peer for peer in PEERS if peer.name == "TinyGo")
    monkeypatch.setattr(cli, "PEERS", (PEERS[0], tinygo))
    files = {"--json": tmp_path / "raw.json", "--chart": tmp_path / "chart.svg"}
    assert cli.main(["--quick", *(str(word) for option in files.items() for word in option)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("| not measured: tinygo is not on PATH |") == 3 * len(SCENARIOS) + 1
    assert printed.count("| not measured: wrk is not installed |") == len(SCENARIOS) + 1
    assert "≤ 3 s: not measured" in printed
    assert '"rss_bytes": 70000000' in files["--json"].read_text(encoding="utf-8")
    assert files["--chart"].read_text(encoding="utf-8").endswith("</svg>\n")


@pytest.mark.programs
def test_a_failure_is_a_row_and_an_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> Prepared:
        raise BenchError("the compiler broke")

    monkeypatch.setattr(measure, "measure_start", lambda *_: Start(0.1, 0.1, 70_000_000))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(cli, "PEERS", (PEERS[0], Peer("broken", fail)))
    assert cli.main(["--quick"]) == 1
    assert "| broken    | failed: the compiler broke |" in capsys.readouterr().out


def test_a_peer_whose_answers_are_no_success_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "check_answer", lambda *_: None)
    monkeypatch.setattr(measure, "used_seconds", lambda *_: 1.0)
    monkeypatch.setattr(measure, "run_wrk", lambda *_: LoadResult(100, 50.0, 1.0, 2.0, other=3))
    with pytest.raises(BenchError, match="3 of 100 answers were neither 2xx nor 3xx"):
        measure._sample(cast(Envoy, SimpleNamespace(url="http://127.0.0.1:1")), Row("one"), SCENARIOS[0], 1)


def test_a_reload_that_cannot_be_measured_leaves_the_rest() -> None:
    row = Row("one")
    with row.attempt("reload", lambda _text: None):
        raise BenchError("3 traps made 2 new VMs")
    assert row.problems == {"reload": "failed: 3 traps made 2 new VMs"}
    assert row.failed


def test_the_closing_tables(golden: Callable[[str, str], None]) -> None:
    golden("bench/closing.md", cli.closing(summary()) + "\n")


def test_marks_that_are_met_and_missed() -> None:
    found = {mark.key: (met(summary(), mark.key, mark.first), met(summary(), mark.key, mark.goal)) for mark in MARKS}
    assert found["load"] == (True, False)
    assert found["worker"] == (True, False)
    assert found["build"] == (True, True)
    assert found["json"] == (None, None)
    assert {mark.key for mark in MARKS} <= {figure.key for figure in FIGURES}
    assert "≤ 3 × Go: not measured" in marks_table(summary())


def test_a_ratio_of_unpaired_rounds_is_that_of_the_medians() -> None:
    found = Summary({"build": {PRODUCT: [1.0, 3.0, 2.0], REFERENCE: [4.0]}}, {})
    assert found.ratio("build", PRODUCT) == 0.5
    assert found.ratio("build", "Lua") is None


def test_the_chart_is_a_picture_of_the_figures() -> None:
    picture = xml.etree.ElementTree.fromstring(chart(summary(), "a <machine>"))
    name = "{http://www.w3.org/2000/svg}"
    texts = [item.text for item in picture.iter(f"{name}text")]
    assert "a <machine>" in texts
    assert texts.count(PRODUCT) == 6  # every panel but the JSON one, which has no figures
    longest = {item.get("class"): float(item.get("width", "0")) for item in picture.iter(f"{name}rect")}
    assert longest["pwasm"] > longest["go"]  # of the last panel: the reload
    (title,) = picture.iter(f"{name}title")
    assert "load into Envoy (s): floor (WAT) 0.00, Go, official SDK 0.00, pwasm 2.80" in (title.text or "")
    assert "prefers-color-scheme: dark" in chart(summary(), "")


def test_a_bar_far_longer_than_the_others_is_cut() -> None:
    rounds: dict[str, dict[str, list[float]]] = {figure.key: {} for figure in FIGURES}
    slow = Summary({**rounds, "small": {FLOOR: [2.0], PRODUCT: [4.0], "Lua": [400.0]}}, {})
    assert chart(slow, "").count('<line class="cut"') == 1
    even = Summary({**rounds, "small": {FLOOR: [2.0], PRODUCT: [400.0]}}, {})
    assert chart(even, "").count('<line class="cut"') == 0  # that would be our own


def test_every_peer_has_the_source_of_every_scenario() -> None:
    folder = Path(__file__).parent / "peers"
    for scenario in SCENARIOS:
        sources = (
            "floor/{}.wat",
            "lua/{}.lua",
            "go/{}/main.go",
            "python/{}/filter.py",
            "ext_proc/{}/processor.py",
        )
        for source in sources:
            text = (folder / source.format(scenario.name)).read_text(encoding="utf-8")
            assert all(word in text for word in (scenario.message, *scenario.headers)), source
            assert all(name in text for name in scenario.request.headers), source


def test_the_body_is_of_the_size_the_goals_say() -> None:
    (request,) = [scenario.request for scenario in SCENARIOS if scenario.name == "json"]
    assert request.body is not None
    assert 1950 <= len(request.body) <= 2050
    assert request.body[-22:-2].decode() == json.loads(request.body)["id"]  # where floor takes it


def test_an_answer_without_the_work_is_an_error() -> None:
    scenario = Scenario(
        "one", "", "a message", {"x-one": "1", "x-two": "2"}, Request("POST", "/a", {"x-in": "i"}, b"{}")
    )
    with answering({"x-one": "1", "x-two": "2"}) as (envoy, seen):
        check_answer(envoy, scenario, filtered=True)
        assert seen == [("POST", "/a", "i", b"{}")]
        with pytest.raises(BenchError, match=r"the response has x-one: \['1'\], expected None"):
            check_answer(envoy, scenario, filtered=False)
    with (
        answering({"x-one": "1", "x-two": "3"}) as (envoy, _),
        pytest.raises(BenchError, match=r"the response has x-two: \['3'\], expected \['2'\]"),
    ):
        check_answer(envoy, scenario, filtered=True)


def test_an_edit_changes_what_is_built(tmp_path: Path) -> None:
    file = tmp_path / "filter.py"
    file.write_text('log_debug("request headers")\nlog_debug("request headers")\n', encoding="utf-8")
    edit = Edit(file, "request headers")
    for number in range(2):
        edit.apply(number)
    assert file.read_text(encoding="utf-8") == 'log_debug("request headers, edit 1")\nlog_debug("request headers")\n'
    with pytest.raises(BenchError, match=r"filter\.py does not log 'nothing'"):
        Edit(file, "nothing").apply(0)


def test_the_filter_is_the_first_of_the_http_filters() -> None:
    def names(http_filter: dict[str, str] | None) -> list[str]:
        listener = configuration(Prepared(http_filter))["static_resources"]["listeners"][0]
        manager = listener["filter_chains"][0]["filters"][0]
        return [item["name"] for item in manager["typed_config"]["http_filters"]]

    assert names({"name": "lua"}) == ["lua", *names(None)]


def test_a_peer_that_is_a_server_is_a_cluster() -> None:
    config = configuration(Prepared({"name": "ext_proc"}, upstreams=(Upstream("127.0.0.1", 1, "ext_proc"),)))
    assert [cluster["name"] for cluster in config["static_resources"]["clusters"]] == ["ext_proc"]


def test_figures_of_a_process() -> None:
    assert rss_bytes(os.getpid()) > 1_000_000
    assert 0 < cpu_seconds(os.getpid()) < 3600


@pytest.mark.programs
def test_help_of_the_script() -> None:
    command = [sys.executable, str(Path(__file__).with_name("run.py")), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
    assert "--quick" in done.stdout


@contextlib.contextmanager
def answering(headers: Mapping[str, str]) -> Iterator[tuple[Any, list[tuple[str, str, str | None, bytes]]]]:
    """A server that answers with `headers` in place of an Envoy, and the requests it has received."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.append((self.command, self.path, self.headers["x-in"], body))
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}", log=[]), seen
        server.shutdown()
        thread.join()


INSIDE = (Callback("proxy_on_request_headers", 1.0, 2.0), Callback("proxy_on_response_headers", 0.5, 3.0))


def example_rows() -> list[Row]:
    """Two rounds of five peers: one lacks its tool, and one failed."""
    base = [Sample(50_000, 150, 800, 18, 9.5), Sample(40_000, 180, 900, 20, 9.6)]
    slower = [Sample(40_000, 180, 900, 22, 9.7), Sample(32_000, 210, 1000, 26, 17.0)]
    starts = [Start(0.09, 0.1, 66_000_000), Start(0.11, 0.12, 67_000_000)]
    heavier = [Start(3.0, 3.1, 246_000_000), Start(2.8, 2.9, 250_000_000)]
    workers = [dataclasses.replace(start, rss_bytes=start.rss_bytes + 20_000_000) for start in heavier]
    build = BuildTimes(12.2, (0.9, 1.1), {"runtime": 9.4, "freeze": 1.7, "link": 0.6}, 2.4)
    faster = BuildTimes(7.0, (1.0, 1.2))
    return [
        Row(BASELINE, starts=starts, more_workers=starts, samples=base),
        Row("floor (WAT)", starts=starts, more_workers=starts, problems={"load": "failed: wrk: Socket errors: read 3"}),
        Row("TinyGo", problems=dict.fromkeys(measure.TOPICS, "not measured: tinygo is not installed")),
        Row(REFERENCE, Prepared(build=faster), 2_100_000, starts, starts, [3.0, 4.0], slower, callbacks=INSIDE[:1]),
        Row(
            "pwasm",
            Prepared(build=build),
            9_000_000,
            heavier,
            workers,
            [24.0, 22.0],
            slower,
            Growth(9000, 200_000),
            INSIDE,
        ),
    ]


def summary() -> Summary:
    """That of a run without the JSON scenario."""
    return summarise({"headers": example_rows()})


@pytest.fixture
def fake_wrk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """`fake_wrk(script)`: what runs as wrk."""

    def make(script: str) -> None:
        file = tmp_path / "wrk"
        file.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        file.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    return make
