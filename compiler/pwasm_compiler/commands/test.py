"""`pwasm test`"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from pwasm_compiler.errors import ProjectError
from pwasm_compiler.project import load_project

_PYTEST_NO_TESTS = 5


@click.command(context_settings={"ignore_unknown_options": True}, short_help="Run a filter's tests in plain Python.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PATH] [PYTEST_ARGUMENT]...")
def test(arguments: tuple[str, ...]) -> None:
    """Run the tests of the filter at PATH with pytest, in plain Python.

    PATH is a folder with filter.py, or a single .py file; the default is the current folder. Everything else is passed
    to pytest:

    \b
      pwasm test -k headers
      pwasm test filters/hello_world -x
    """
    has_path = bool(arguments) and not arguments[0].startswith("-")
    path, pytest_arguments = (arguments[0], arguments[1:]) if has_path else (".", arguments)
    project = load_project(Path(path))
    # -m pytest puts the current folder first on the path, where the tests find filter.py.
    command = [sys.executable, "-m", "pytest", "--rootdir", str(project.root), *pytest_arguments]
    if project.configuration is not None:
        command[3:3] = ["-c", str(project.configuration)]
    code = subprocess.run(command, cwd=project.root, check=False).returncode
    if code == _PYTEST_NO_TESTS:
        raise ProjectError(f"{project.root} has no tests", hint="put one into test_filter.py; `pwasm new` shows how")
    sys.exit(min(code, 1) if code >= 0 else 1)
