"""A class of its own in a pickle, and a module that a function imports: both are those of this VM."""

import pickle

import counter  # type: ignore[import-not-found]

import pwasm
from pwasm import Action


class Point:
    def __init__(self, x: int) -> None:
        self.x = x


class Responds(pwasm.HttpContext):
    def on_http_request_headers(self, num_headers: int, end_of_stream: bool) -> Action:
        import counter as again
        import late  # type: ignore[import-not-found]

        counter.seen += 1
        point = pickle.loads(pickle.dumps(Point(3)))
        kept = again is counter and isinstance(point, Point)
        pwasm.send_http_response(200, [], f"{point.x} {again.seen} {late.count()} {kept}")
        return Action.PAUSE


pwasm.set_http_context(Responds)
