"""click's usage errors in the form of every other error: what, why, `hint:`.

click prints the usage first, the error last and a period after it, and only some of its errors suggest what was meant.
Each row of `_EXPLANATIONS` handles one of its exceptions.
"""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Callable, Iterable
from typing import Any

import click

from pwasm_compiler.errors import UsageError

_REJECTED_VALUE = re.compile(r"'?(?P<value>.*?)'? is not ", re.DOTALL)
_EXTRA = re.compile(r"unexpected extra arguments? \((?P<words>.*)\)", re.DOTALL)

_MISSPELT = 0.8
"""How similar two option names must be: one letter more, less or elsewhere, in names of four letters or more."""


def explained(error: click.UsageError, command: click.Command, path: str) -> UsageError:
    """`error`, which the parser of `command` raised; `path` is how it was called, for example "pwasm build"."""
    for kind, explain in _EXPLANATIONS:
        if isinstance(error, kind):
            found = explain(error, command, path)
            return UsageError(found.what, why=found.why, hint=found.hint or f"see: {path} --help")
    return UsageError(error.format_message().rstrip("."), hint=f"see: {path} --help")


def no_such_command(name: str, known: Iterable[str]) -> UsageError:
    """The error for a command that is none of `known`."""
    hint = _did_you_mean(name, known) or "pwasm --help lists the commands"
    return UsageError(f"unknown command '{name}'", hint=hint)


def check_spelling(words: Iterable[str], command: click.Command, path: str) -> None:
    """For a command that passes unknown options on: one that is nearly an option of its own was meant as that.

    What comes after "--" is passed on as it is.

    Raises:
        UsageError: an option is misspelt.
    """
    known = [name for option in _options(command) for name in option.opts]
    for word in itertools.takewhile(lambda word: word != "--", words):
        name = word.partition("=")[0]
        if name.startswith("--") and name not in known:
            # Of about the same length: --env may well be pytest's, though --envoy is ours.
            alike = [own for own in known if abs(len(own) - len(name)) <= 1]
            if difflib.get_close_matches(name, alike, cutoff=_MISSPELT):
                why = f"If it is not meant for {path} itself, put it after --."
                raise UsageError(f"{path} has no option {name}", why=why, hint=_did_you_mean(name, alike))


def _no_such_option(error: click.NoSuchOption, command: click.Command, path: str) -> UsageError:
    known = [name for option in _options(command) for name in (*option.opts, *option.secondary_opts)]
    long_ones = [name for name in (*known, "--help") if name.startswith("--")]
    return UsageError(f"{path} has no option {error.option_name}", hint=_did_you_mean(error.option_name, long_ones))


def _option_used_wrongly(error: click.BadOptionUsage, command: click.Command, path: str) -> UsageError:
    option = next((option for option in _options(command) if error.option_name in option.opts), None)
    if option is None:
        return UsageError(error.format_message().rstrip("."))
    if option.is_flag:
        return UsageError(f"{error.option_name} takes no value", hint=f"write {path} {error.option_name}")
    return UsageError(f"{error.option_name} needs a value", hint=f"write {error.option_name} {_metavar(option)}")


def _missing(error: click.MissingParameter, command: click.Command, path: str) -> UsageError:
    name = "an argument" if error.param is None else _metavar(error.param)
    return UsageError(f"missing argument {name}", hint=f"write {_usage(command, path)}")


def _wrong_value(error: click.BadParameter, _command: click.Command, _path: str) -> UsageError:
    if error.param is None:
        return UsageError(error.format_message().rstrip("."))
    name = max(error.param.opts, key=len) if isinstance(error.param, click.Option) else _metavar(error.param)
    wanted, found = _wanted(error.param.type), _REJECTED_VALUE.match(error.message)
    if not wanted or found is None:
        return UsageError(f"invalid value for {name}", why=error.message)
    choices = error.param.type.choices if isinstance(error.param.type, click.Choice) else ()
    hint = _did_you_mean(found["value"], map(str, choices))
    return UsageError(f"invalid value '{found['value']}' for {name}", why=f"It must be {wanted}.", hint=hint)


def _not_understood(error: click.UsageError, command: click.Command, path: str) -> UsageError:
    extra = _EXTRA.search(error.message)
    if extra is None:
        return UsageError(error.format_message().rstrip("."))
    words = extra["words"].split()
    what = f"unexpected argument '{words[0]}' to {path}"
    return UsageError(what, hint=f"write {_usage(command, path)}")


# The first match wins; MissingParameter is a BadParameter.
_EXPLANATIONS: tuple[tuple[type[click.UsageError], Callable[..., UsageError]], ...] = (
    (click.NoSuchOption, _no_such_option),
    (click.BadOptionUsage, _option_used_wrongly),
    (click.MissingParameter, _missing),
    (click.BadParameter, _wrong_value),
    (click.UsageError, _not_understood),
)


def _wanted(kind: click.ParamType[Any]) -> str:
    """The values that a type accepts, or "" where click's own wording is better."""
    if isinstance(kind, click.Choice):
        *first, last = map(str, kind.choices)
        return f"{', '.join(first)} or {last}" if first else last
    if isinstance(kind, click.IntRange | click.FloatRange):
        number = "a whole number" if isinstance(kind, click.IntRange) else "a number"
        if kind.max is None:
            return f"{number} of {kind.min} or more"
        return f"{number} from {kind.min} to {kind.max}"
    return ""


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]}?" if near else ""


def _options(command: click.Command) -> list[click.Option]:
    return [parameter for parameter in command.params if isinstance(parameter, click.Option)]


def _metavar(parameter: click.Parameter) -> str:
    return parameter.metavar or (parameter.name or "").upper()


def _usage(command: click.Command, path: str) -> str:
    """The usage of `command`, in one line."""
    context = click.Context(command)
    return " ".join([path, *command.collect_usage_pieces(context)])
