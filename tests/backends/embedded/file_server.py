"""A loopback server of files that can be told to misbehave as real ones do.

Keeps to itself: HTTP. Promises: `requests` holds the path and headers of every request, in order.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


class FileServer:
    """Serves `files` by path.

    Attributes
    ----------
    files
        Path -> content.
    content_types
        Path -> content type, where it is not application/octet-stream.
    statuses
        Path -> status of an empty answer, instead of the file.
    redirects
        Path -> address.
    cuts
        How many bytes the next answers give before the connection ends; used up one by one.
    honours_ranges
        Whether `Range` is read at all.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.content_types: dict[str, str] = {}
        self.statuses: dict[str, int] = {}
        self.redirects: dict[str, str] = {}
        self.cuts: list[int] = []
        self.honours_ranges = True
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        files = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                files.requests.append((self.path, dict(self.headers)))
                files.answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named so by the base class
                """Tests read `requests` instead."""

        return Handler

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        content = self.files.get(handler.path)
        if handler.path in self.redirects:
            handler.send_response(302)
            handler.send_header("Location", self.redirects[handler.path])
            self._end(handler, b"")
        elif handler.path in self.statuses or content is None:
            handler.send_response(self.statuses.get(handler.path, 404))
            self._end(handler, b"")
        else:
            self._send(handler, content)

    def _send(self, handler: BaseHTTPRequestHandler, content: bytes) -> None:
        begin = 0
        asked = handler.headers.get("Range")
        if asked and self.honours_ranges:
            begin = int(asked.removeprefix("bytes=").rstrip("-"))
            if begin >= len(content):
                handler.send_response(416)
                handler.send_header("Content-Range", f"bytes */{len(content)}")
                self._end(handler, b"")
                return
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        else:
            handler.send_response(200)
        self._end(handler, content[begin:])

    def _end(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        handler.send_header("Content-Type", self.content_types.get(handler.path, "application/octet-stream"))
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        cut = self.cuts.pop(0) if self.cuts and body else len(body)
        handler.wfile.write(body[:cut])
