"""The findings of a run: figures for people, and problems, which make the run fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Outcome:
    """One run; it has passed if nothing is in `problems`."""

    name: str
    about: str
    figures: list[tuple[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    table: list[str] = field(default_factory=list)
    """Lines of samples over time, for the long runs."""

    def figure(self, what: str, value: object) -> None:
        """Note a figure."""
        self.figures.append((what, str(value)))

    def require(self, holds: object, problem: str) -> None:
        """Note `problem` unless it `holds`."""
        if not holds:
            self.problems.append(problem)

    def equal(self, what: str, found: object, wanted: object) -> None:
        """Record the figure, and a problem if it differs from the expected value."""
        self.figure(what, found)
        self.require(found == wanted, f"{what}: {found}, and not {wanted}")

    def text(self) -> str:
        """For a terminal or a file."""
        lines = [f"{self.name}: {self.about}"]
        lines += [f"  {what:<44} {value}" for what, value in self.figures]
        lines += [f"  {line}" for line in self.table]
        lines += [f"  WRONG: {problem}" for problem in self.problems]
        return "\n".join([*lines, f"  {'passed' if not self.problems else 'FAILED'}"])


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Growth per unit of the first coordinate, by least squares; 0 for fewer than two points."""
    count = len(points)
    if count < 2:
        return 0.0
    middle_x, middle_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread if spread else 0.0
