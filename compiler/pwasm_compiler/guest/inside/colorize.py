"""Replaces the standard library's `_colorize`: a VM has no terminal, so nothing is coloured.

The original builds its themes with `dataclasses`, which imports `inspect`, `ast` and `dis`: a megabyte of memory in
every VM for a traceback without colours.
"""


class _Names(type):
    """Every name is the escape sequence that changes nothing."""

    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return ""


class ANSIColors(metaclass=_Names):
    """Names of colours; all are empty."""


NoColors = ANSIColors
COLORIZE = False


class _Section:
    def __getattr__(self, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return ""

    def __getitem__(self, key: str) -> str:
        return ""


class _Theme:
    argparse = syntax = traceback = unittest = _Section()


default_theme = theme_no_color = _Theme()


def get_colors(colorize: bool = False, *, file: object = None) -> type[ANSIColors]:
    return ANSIColors


def decolor(text: str) -> str:
    return text


def can_colorize(*, file: object = None) -> bool:
    return False


def get_theme(*, tty_file: object = None, force_color: bool = False, force_no_color: bool = False) -> _Theme:
    return default_theme


def set_theme(t: object) -> None:
    pass
