"""Load over kept connections: so many requests a second, or bursts with silence between them."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

# One request in so many is a POST, which no proxy repeats.
POST_EVERY = 10
GET = b"GET /api/v1/flags/ HTTP/1.1\r\nHost: flags.example.com\r\nX-Environment-Key: load\r\n\r\n"
POST = (
    b"POST /testbed/enqueue?task=write_result&count=1&value=load HTTP/1.1\r\n"
    b"Host: flags.example.com\r\nContent-Length: 0\r\n\r\n"
)
CONNECTIONS = 20
# A client waits for longer than any proxy here does.
PATIENCE = 90.0
# Requests of one phase at most, whatever its time.
MOST = 100_000


@dataclass
class Tally:
    """What became of the requests of one phase."""

    sent: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0

    def failures(self) -> int:
        """Return how many failed."""
        return self.failed.total()

    def add(self, other: "Tally") -> None:
        """Count what another one counted."""
        self.sent += other.sent
        self.failed += other.failed
        self.slowest = max(self.slowest, other.slowest)


class Connection:
    """One connection of a client, opened again when the proxy has closed it between two requests."""

    def __init__(self, port: int, tally: Tally):
        self._port, self._tally, self._count = port, tally, 0
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def send(self) -> None:
        """Send one request and count what becomes of it."""
        self._count += 1
        post = self._count % POST_EVERY == 0
        self._tally.sent += 1
        begun = time.monotonic()
        try:
            status = await asyncio.wait_for(self._exchange(POST if post else GET), PATIENCE)
            outcome = "" if status < 400 else str(status)
        except (OSError, EOFError, asyncio.IncompleteReadError) as error:
            outcome = f"dropped ({type(error).__name__})"
            self.close()
        except TimeoutError:
            outcome = "no answer"
            self.close()
        self._tally.slowest = max(self._tally.slowest, time.monotonic() - begun)
        if outcome:
            self._tally.failed[("POST " if post else "GET ") + outcome] += 1

    async def _exchange(self, request: bytes) -> int:
        # A proxy may close a silent connection; a client that has seen it does not use it.
        await asyncio.sleep(0)
        if self._reader is None or self._writer is None or self._reader.at_eof() or self._writer.is_closing():
            self.close()
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(request)
        await self._writer.drain()
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        if headers.get("transfer-encoding") == "chunked":
            while size := int(await self._reader.readline(), 16):
                await self._reader.readexactly(size + 2)
            await self._reader.readline()
        else:
            await self._reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection") == "close":
            self.close()
        return int(lines[0].split(" ")[1])

    def close(self) -> None:
        """Close it; the next request opens another."""
        if self._writer:
            self._writer.close()
        self._reader = self._writer = None


async def steady(port: int, rate: float, stop: asyncio.Event) -> Tally:
    """Send `rate` requests a second until told to stop."""
    tally = Tally()

    async def client(offset: float) -> None:
        connection = Connection(port, tally)
        pause = CONNECTIONS / rate
        due = time.monotonic() + offset * pause
        while not stop.is_set() and tally.sent < MOST:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            # A client that was held up does not make up for it with a burst.
            due = max(due + pause, time.monotonic())
            await connection.send()
        connection.close()

    await asyncio.gather(*(client(number / CONNECTIONS) for number in range(CONNECTIONS)))
    return tally


async def bursts(port: int, silences: list[float]) -> Tally:
    """Use every connection at once, then none for so long, and again."""
    tally = Tally()
    connections = [Connection(port, tally) for _ in range(CONNECTIONS)]
    for silence in [0.0, *silences]:
        await asyncio.sleep(silence)
        await asyncio.gather(*(connection.send() for connection in connections))
    for connection in connections:
        connection.close()
    return tally
