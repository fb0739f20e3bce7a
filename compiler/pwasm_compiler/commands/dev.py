"""`pwasm dev`"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import click

from pwasm_compiler.commands.run import announce, build_for_run, envoy_options, show
from pwasm_compiler.console import print_error, say, warn
from pwasm_compiler.envoy.dev import Live, prepare
from pwasm_compiler.envoy.process import Envoy
from pwasm_compiler.envoy.run import Request, serve
from pwasm_compiler.errors import PwasmError
from pwasm_compiler.files import scratch_folder
from pwasm_compiler.progress import Progress


@click.command(short_help="Run a filter and reload it on every edit.")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@envoy_options
def dev(verbose: bool, **options: Any) -> None:
    """Run the filter at PATH in a local Envoy, and reload it after every edit, until Ctrl-C.

    PATH is a folder with a filter in Python or Go, a single .py file, or a built module (.wasm); the default is the
    current folder. pwasm watches pyproject.toml and the files that go into the module. Each saved change is built and
    loaded while the old code keeps serving; no connection is dropped. If the new code does not build, or Envoy rejects
    it, the error is shown and the last good version keeps serving.

    Envoy is configured as by `pwasm run`, with one difference: the filter's part of the configuration is in a separate
    file that Envoy reloads when it is replaced (ECDS, as in Istio). Edits to envoy.yaml are not picked up.
    """
    with scratch_folder("pwasm-dev-") as folder:
        session = prepare(Request(**options), build_for_run, folder)
        if session.plan.caution:
            warn(session.plan.caution)
        threads: list[threading.Thread] = []

        progress = Progress()

        def failed(error: PwasmError) -> None:
            print_error(error.what, error.why, error.hint)
            say("the last good version is still serving" if session.good else "no version is serving yet", err=True)

        def started(envoy: Envoy) -> None:
            progress.close()
            announce(envoy)
            threads.append(threading.Thread(target=session.watch, args=(envoy, _changed, _live, failed)))
            threads[0].start()

        progress("starting Envoy")
        try:
            serve(session.plan, started=started, show=lambda record: show(record, verbose))
        finally:
            progress.close()
            session.stop.set()
            for thread in threads:
                thread.join()
    say("stopped", err=True)


def _changed() -> None:
    say("changed; building", err=True)


def _live(found: Live) -> None:
    say(
        f"live: version {found.version}, {found.after_seconds:.1f} s after the edit: "
        f"built in {found.build_seconds:.1f} s, loaded in {found.load_seconds:.1f} s"
    )
    sys.stdout.flush()
