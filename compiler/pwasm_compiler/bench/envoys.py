"""The Envoys of a measurement: started, asked, watched; shared by `measure` and `compare`."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pwasm_compiler.envoy.run import configuration_hint, refusal
from pwasm_compiler.errors import PwasmError, ToolError

from .load import Request

if TYPE_CHECKING:
    from pwasm_compiler.envoy.process import Envoy, EnvoyError

PLUGIN = "bench"
"""The name of the measured filter in Envoy's configuration and statistics."""
SETTLE_SECONDS = 0.5
"""Every worker has its VM by then."""
_ANSWER_SECONDS = 10.0
_READY_SECONDS = 300.0
_END_SECONDS = 1.0
"""How long an Envoy that has closed its connections may take to exit."""
_KEPT_RECORDS = 1000


def envoy_for(config: dict[str, Any], executable: Path, cwd: Path, concurrency: int = 1) -> Envoy:
    """An Envoy that is not started yet; it keeps little of its log, which grows under load."""
    from pwasm_compiler.envoy.process import Envoy

    return Envoy(
        config,
        executable=executable,
        cwd=cwd,
        concurrency=concurrency,
        keep_log=_KEPT_RECORDS,
        ready_timeout=_READY_SECONDS,
    )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Do not follow a filter's redirect: it is the response."""

    def redirect_request(self, *_arguments: Any) -> None:
        return None


_NO_REDIRECTS = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)


def ask(envoy: Envoy, sent: Request) -> int:
    """The status of the response to one request.

    Raises:
        ToolError: there was none.
    """
    request = urllib.request.Request(envoy.url + sent.path, sent.body, dict(sent.headers), method=sent.method)
    try:
        with _NO_REDIRECTS.open(request, timeout=_ANSWER_SECONDS) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        envoy.check_alive()
        raise ToolError(f"Envoy did not respond: {error}") from error


@contextlib.contextmanager
def unless_envoy_exited(envoy: Envoy) -> Iterator[None]:
    """If the block fails because Envoy has exited, raise that as the error, not the client's failure."""
    try:
        yield
    except ToolError:
        envoy.wait(_END_SECONDS)
        envoy.check_alive()
        raise


def trapped(envoy: Envoy) -> list[str]:
    """A problem to report if the filter's VM has trapped under load."""
    reloads = {name.rpartition(".")[2]: count for name, count in envoy.stats(f"wasm.{PLUGIN}.vm_reload").items()}
    traps = sum(reloads.values())
    return [f"the filter's VM trapped under load ({traps} reloads or failed reloads)"] if traps else []


def envoy_version(envoy: Envoy) -> str:
    """Of a running Envoy: "1.40.0"."""
    version = str(json.loads(envoy.admin("/server_info"))["version"])
    parts = version.split("/")
    return parts[1] if len(parts) > 1 else version


def explained(error: EnvoyError, path: Path, plugin_config: Path | None) -> PwasmError:
    """The error for an Envoy that failed: the filter's own refusal of its configuration, if that is the reason."""
    hint = error.hint or _configuration_may_be_missing(error, plugin_config)
    shown = ToolError(error.what, why="\n".join(error.last_lines()), hint=hint)
    return refusal(error.log, configuration_hint(path, plugin_config, None)) or shown


def _configuration_may_be_missing(error: EnvoyError, plugin_config: Path | None) -> str:
    from pwasm_compiler.envoy.process import EnvoyExitedError

    if plugin_config is not None or not (isinstance(error, EnvoyExitedError) and error.returncode > 0):
        return ""  # a signal is not a rejection
    return "if the filter needs a configuration, provide it with --plugin-config FILE"
