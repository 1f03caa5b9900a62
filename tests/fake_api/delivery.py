"""Putting a reply on the connection: whole, slowly, in part, or not at all.

Keeps to itself: what aiohttp and TCP need for an answer to go wrong in exactly one way.
Promises: `deliver` leaves the connection as the fault wants it and never raises because of it.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

from tests.fake_api.faults import Fault
from tests.fake_api.wire import Reply, error_event

Sleep = Callable[[float], Awaitable[None]]

_TYPICAL_STREAM_ERROR = {
    "object": "error",
    "message": "Internal server error",
    "type": "internal_server_error",
    "param": None,
    "code": "3800",
    "raw_status_code": 500,
}
# Slow bodies go out in so many pieces per second, so that a slow reader sees bytes rather than bursts.
_PIECES_PER_SECOND = 10
_POLL_SECONDS = 0.01


async def deliver(
    request: web.BaseRequest, reply: Reply, fault: Fault, *, interval_seconds: float, sleep: Sleep
) -> web.StreamResponse:
    """Send the reply, with the fault's trouble on the way."""
    headers = {**reply.headers, **fault.headers}
    is_cut = fault.truncate_after_bytes is not None
    is_broken = reply.is_stream and fault.error_frame_in_stream
    is_slow = fault.bytes_per_second or (reply.is_stream and (interval_seconds or fault.rest_waits_for))
    if not (is_cut or is_broken or is_slow):
        return web.Response(status=reply.status, headers=headers, body=b"".join(reply.parts))
    response = web.StreamResponse(status=reply.status, headers=headers)
    if reply.is_stream:
        response.enable_chunked_encoding()
    else:
        response.content_length = sum(map(len, reply.parts))
    await response.prepare(request)
    async for piece in _pieces(reply, fault, interval_seconds, sleep):
        await response.write(piece)
    if is_cut:
        _close(request)
    else:
        await response.write_eof()
    return response


def reset(request: web.BaseRequest) -> web.StreamResponse:
    """Reset the connection: with SO_LINGER at zero, closing sends RST instead of FIN."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response(status=500)  # never sent: the transport is gone


def _close(request: web.BaseRequest) -> None:
    """Close after what was written; the peer sees a body that ends too early."""
    if request.transport is not None:
        request.transport.close()


async def _pieces(reply: Reply, fault: Fault, interval_seconds: float, sleep: Sleep) -> AsyncIterator[bytes]:
    left = fault.truncate_after_bytes
    async for part in _paced(_events(reply, fault), fault, interval_seconds if reply.is_stream else 0.0, sleep):
        if left is None:
            yield part
        elif left > 0:
            yield part[:left]
            left -= len(part)


def _events(reply: Reply, fault: Fault) -> list[bytes]:
    if not (reply.is_stream and fault.error_frame_in_stream):
        return list(reply.parts)
    body = _TYPICAL_STREAM_ERROR if fault.error_frame_in_stream is True else fault.error_frame_in_stream
    return [*reply.parts[: fault.frames_before_error], error_event(body)]


async def _paced(parts: list[bytes], fault: Fault, interval_seconds: float, sleep: Sleep) -> AsyncIterator[bytes]:
    rate = fault.bytes_per_second
    for number, part in enumerate(parts):
        if number and interval_seconds:
            await sleep(interval_seconds)
        if number == len(parts) // 2:
            while fault.rest_waits_for and not fault.rest_waits_for.is_set():  # noqa: ASYNC110  # it is set by a thread
                await asyncio.sleep(_POLL_SECONDS)
        if not rate:
            yield part
            continue
        size = max(1, int(rate / _PIECES_PER_SECOND))
        for at in range(0, len(part), size):
            yield part[at : at + size]
            await sleep(len(part[at : at + size]) / rate)
