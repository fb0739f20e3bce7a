"""A package of the filter's own, with a data file."""

from importlib.resources import files


def greeting() -> str:
    return files(__name__).joinpath("greeting.txt").read_text(encoding="utf-8").strip()
