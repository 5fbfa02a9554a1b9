"""Database servers that are no use to anybody, on loopback: one that keeps silent, one that is slow, one that does not
stop. Run as a process of its own, it prints their ports as JSON and serves until it is ended."""

import asyncio
import json
import struct

# A byte each second: no answer is complete before whoever waits for it has given up.
SLOW = 1.0
# Sent at once, again and again, to a client that reads whatever comes.
FLOOD = 64 * 1024
ENCRYPTION_REQUEST = 80877103
# What a client sends first is a few hundred bytes.
LONGEST = 10_000


def message(kind, body):
    return kind + struct.pack("!I", len(body) + 4) + body


AUTHENTICATED = message(b"R", struct.pack("!I", 0))
PARAMETER = message(b"S", b"server_version\x0015.0\x00")


async def started(reader, writer):
    """Reads what a client begins with; encrypts nothing."""
    while True:
        (length,) = struct.unpack("!I", await reader.readexactly(4))
        body = await reader.readexactly(min(length, LONGEST) - 4)
        if body != struct.pack("!I", ENCRYPTION_REQUEST):
            return
        writer.write(b"N")


async def silent(reader, _):
    while await reader.read(FLOOD):
        pass


async def slow(reader, writer):
    await started(reader, writer)
    for byte in AUTHENTICATED + PARAMETER * LONGEST:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(SLOW)


async def hostile(reader, writer):
    await started(reader, writer)
    writer.write(AUTHENTICATED)
    answers = PARAMETER * (FLOOD // len(PARAMETER))
    while True:
        writer.write(answers)
        await writer.drain()


def guarded(serve):
    async def connected(reader, writer):
        try:
            await serve(reader, writer)
        except (OSError, EOFError):
            pass  # The client has had enough.
        finally:
            writer.close()

    return connected


async def main():
    servers = {it.__name__: await asyncio.start_server(guarded(it), "127.0.0.1", 0) for it in (silent, slow, hostile)}
    print(json.dumps({name: it.sockets[0].getsockname()[1] for name, it in servers.items()}), flush=True)
    await asyncio.gather(*(it.serve_forever() for it in servers.values()))


if __name__ == "__main__":
    asyncio.run(main())
