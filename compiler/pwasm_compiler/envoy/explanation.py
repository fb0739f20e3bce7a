"""What is known of one message in a log."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Explanation:
    """The meaning of a message, in plain terms, and a hint.

    A group of the pattern whose name begins with `cause` is the part of the line that says why; without one it is the
    whole match. A group `plugin` is the plugin's name in Envoy's configuration.
    """

    pattern: str
    meaning: str
    hint: str
    read_in: str
    """The products, with the versions, in whose source or output the message was read."""
    context: str = ""
    """What a line must contain besides: the words of another program, such as "401 Unauthorized", are in many logs."""
    effect: bool = False
    """The message says what follows from an error, which the same line may name: the error is explained first."""
