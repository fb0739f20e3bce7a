"""The responses of tests/projects/guest_python for each path: one table for wasmtime and for Envoy."""

from __future__ import annotations

ENVIRONMENT = {"REGION": "eu", "EMPTY": "", "UTF8": "ü"}
FROM_THE_HOST = ("REGION", "NOT_SET")
"""In Envoy these come from its own environment (`host_env_keys`); what is not there is left out."""

WORKS = {
    "/not-everywhere": "[]",
    "/json999": "'1'",
    "/json_wide": "20001",
    "/stdlib": "['6e9ef29b', ['1', '22'], '0.125', 16]",
    "/time": "True",
    "/monotonic": "True",
    "/process_time": "True",
    "/strptime": "'2026-11-23T00:00:00'",
    "/urandom": "200000",
    "/environ": "[('EMPTY', ''), ('REGION', 'eu'), ('UTF8', 'ü')]",
    "/data": "'hello from a data file ✓'",
    "/get_data": repr("hello from a data file ✓\n".encode()),
    "/codecs": repr("größe".encode("cp1252") + "größe.example".encode("idna")),
    "/later": "'(0.0, 1.0, 1)'",
    "/warn": "None",
    "/sleep0": "None",
    "/exists": "False",
    "/stdin": "''",
}

FAILS = {
    "/sorted": "RecursionError",
    "/map": "RecursionError",
    "/reduce": "RecursionError",
    "/repr": "RecursionError",
    "/getattr": "RecursionError",
    "/json": "RecursionError",
    "/json_quotes": "JSONDecodeError: Unterminated string",
    "/json_open": "RecursionError",
    "/json_object": "RecursionError",
    "/sleep": r"RuntimeError: time\.sleep\(\) would block",
    "/open": "FileNotFoundError",
    "/write": "OSError|FileNotFoundError|PermissionError",
    "/listdir": "OSError|FileNotFoundError|NotADirectoryError",
    "/socket": "OSError|ModuleNotFoundError",
    "/thread": "RuntimeError: can't start new thread",
    "/process": "OSError|ModuleNotFoundError",
    "/missing": "ModuleNotFoundError: No module named 'module_that_does_not_exist'",
    "/exit": "SystemExit: 4",
    "/_exit": "SystemExit: 4",
    "/abort": r"SystemExit: os\.abort",
    "/system": r"OSError: os\.system\(\) does not work in a VM",
    "/kill": r"OSError: os\.getppid\(\) does not work in a VM",
    "/recursion": "RecursionError",
    "/memory": "MemoryError",
    "/urlsplit": "ValueError: netloc .* contains invalid characters under NFKC",
    "/source": "ZeroDivisionError",
    "/unknown": "KeyError: '/unknown'",
}
