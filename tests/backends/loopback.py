"""A server that says one thing to everybody, for what the fake API does not do: it counts connections and keeps what it read."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


def http_response(body: bytes, *headers: str, status: str = "200 OK", content_type: str = "application/json") -> bytes:
    """Return a whole HTTP response."""
    head = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


@dataclass(slots=True)
class Loopback:
    """What came in: how many connections, and the head of each request as it was sent."""

    port: int = 0
    connections: int = 0
    requests: list[str] = field(default_factory=list)


@asynccontextmanager
async def loopback(response: bytes, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Loopback]:
    """Serve `response` on 127.0.0.1 to each request, and keep the connection."""
    seen = Loopback()
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        writers.append(writer)
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                seen.requests.append(head)
                sizes = [line.split(":")[1] for line in head.splitlines() if line.lower().startswith("content-length:")]
                await reader.readexactly(int(sizes[0]) if sizes else 0)
                writer.write(response)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    seen.port = server.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await server.wait_closed()
