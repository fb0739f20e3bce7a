"""`pwasm schema`"""

from __future__ import annotations

from pathlib import Path

import click

from pwasm_compiler import plugin_config
from pwasm_compiler.console import note, say_document, say_text
from pwasm_compiler.errors import ProjectError, UsageError
from pwasm_compiler.progress import Progress
from pwasm_compiler.project import load_project
from pwasm_compiler.schema import ANY, UndeclaredError, ask

_HOW_TO_DECLARE = """To declare one, annotate `config` in a class of the filter:

  from dataclasses import dataclass

  @dataclass
  class Config:
      header: str
      limit: int = 10

  class MyFilter(pwasm.HttpContext):
      config: Config  # filled before the first request; `self.config.header`
"""


@click.command(short_help="Print the JSON schema of a filter's configuration, or validate one.")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option(
    "--check", type=click.Path(path_type=Path), metavar="FILE", help="Validate this configuration and print it as JSON."
)
@click.option(
    "--root-id", default="", metavar="ID", help="Use the filter with this root_id, if the module has several."
)
def schema(path: Path, check: Path | None, root_id: str) -> None:
    """Print the JSON schema (draft 2020-12) of the configuration that the filter at PATH accepts.

    PATH is a folder with filter.py, or a single .py file; the default is the current folder. The filter is imported in
    plain Python, not built.

    With --check, a configuration in YAML or JSON is validated against it: every problem is listed with its path, and a
    valid configuration is printed as the JSON that Envoy's configuration takes.

    For a filter that declares no configuration, a schema that accepts anything is printed, with instructions for
    declaring one.
    """
    project = load_project(path)
    text = None if check is None else plugin_config.read(check)
    try:
        with Progress() as progress:
            answer = ask(project, text, progress)
    except UndeclaredError as error:
        note(f"{error.what}{', so there is nothing to check' if check else ''}. {_HOW_TO_DECLARE}")
        _show(ANY, text)
        return
    if root_id not in answer.schemas:
        known = ", ".join(repr(name) for name in answer.schemas)
        raise UsageError(f"no configuration is declared for root_id {root_id!r}", hint=f"--root-id may be {known}")
    problems = answer.problems.get(root_id)
    if problems:
        raise ProjectError(f"{check} is not a valid configuration", why="\n".join(problems))
    _show(answer.schemas[root_id], text)


def _show(schema: object, text: str | None) -> None:
    if text is None:
        say_document(schema)
    else:
        say_text(text.strip() + "\n")
