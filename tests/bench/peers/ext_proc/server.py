"""An external processor (ext_proc) in Python: `python server.py PROCESSOR`, which is a file with a class `Stream`.

It prints the port it listens on, and ends when its standard input does.
"""

import asyncio
import logging
import runpy
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
from envoy.service.ext_proc.v3 import external_processor_pb2_grpc as service

STREAM = runpy.run_path(sys.argv[1])["Stream"]


class Processor(service.ExternalProcessorServicer):
    """One `Stream` for each request; its methods are named after the messages of Envoy."""

    async def Process(self, messages: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        stream = STREAM()
        async for message in messages:
            kind = message.WhichOneof("request")
            yield getattr(stream, kind)(getattr(message, kind))


async def main() -> None:
    """Serve until standard input ends."""
    logging.basicConfig(level=logging.INFO)
    server = grpc.aio.server()
    service.add_ExternalProcessorServicer_to_server(Processor(), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop(None)


asyncio.run(main())
