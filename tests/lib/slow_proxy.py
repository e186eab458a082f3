#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A server that answers late: slow_proxy.py PORT TO_PORT MS listens on 127.0.0.1:PORT, hands everything on to TO_PORT, and each piece of an
answer back MS milliseconds after it came."""
import asyncio
import sys

port, to, ms = map(int, sys.argv[1:])


async def copy(reader, writer, delay):
    while data := await reader.read(65536):
        await asyncio.sleep(delay)
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve(reader, writer):
    r, w = await asyncio.open_connection("127.0.0.1", to)
    await asyncio.gather(copy(reader, w, 0), copy(r, writer, ms / 1000), return_exceptions=True)


async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", port) as s:
        await s.serve_forever()


asyncio.run(main())
