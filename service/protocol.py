"""uvicorn's fast HTTP parser, with bounds on what it keeps before a request is complete.

The parser itself bounds neither the size of a request's head nor the time it may take: a client that never ends one
would take memory or a connection for good. Both end with a problem document and a closed connection.
"""

import asyncio
import sys
from typing import Any, Final
from uuid import uuid4

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.errors import ApiError
from service.problems import problem_response

HEAD_BYTES: Final = 128 * 1024
HEAD_SECONDS: Final = 30.0
PARSED_URL_BYTES: Final = 65_535
"""What the parser can take, more than any limit that an operator may set."""


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    _head_bytes = 0
    _in_head = True
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            # Counted after parsing: one read may hold a small head and much of a body.
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(ApiError("invalid_request", f"The request's head has more than {HEAD_BYTES} bytes."))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if not self._in_head:
            self._begin_head()

    def on_headers_complete(self) -> None:
        self._end_head()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        if self.cycle.response_complete:  # the rest of a refused body has been passed over
            self._begin_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.more_body and not self.transport.is_closing():
            # The answer came before the end of the body: what is left is passed over, but not for ever.
            self._end_head()
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        if len(self.url or b"") > PARSED_URL_BYTES:
            self._refuse(ApiError("uri_too_long", f"The URL has more than {PARSED_URL_BYTES} bytes."))
        elif isinstance(sys.exception(), httptools.HttpParserInvalidURLError):
            self._refuse(ApiError("invalid_request", "The URL is not valid: percent-encode what is not plain ASCII."))
        else:
            self._refuse(ApiError("invalid_request", "This is not a valid HTTP request."))

    def _begin_head(self) -> None:
        self._end_head()
        self._in_head = True
        self._head_bytes = 0
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _end_head(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self._refuse(ApiError("request_timeout", f"The request's head took more than {HEAD_SECONDS:g} seconds."))

    def _refuse(self, error: ApiError) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()  # another answer is under way on this connection
            return
        request_id = str(uuid4())
        response = problem_response(error, path="", request_id=request_id)
        head: list[Any] = [f"HTTP/1.1 {error.kind.status} {error.kind.title}\r\n".encode("ascii")]
        for name, value in [*response.raw_headers, (b"x-request-id", request_id.encode()), (b"connection", b"close")]:
            head += [name, b": ", value, b"\r\n"]
        self.transport.write(b"".join([*head, b"\r\n", response.body]))
        self.transport.close()
