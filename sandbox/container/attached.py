"""What the SDK attached to a container -> a socket for an event loop, which takes none that speaks TLS."""

import select
import socket
import ssl
import threading
from contextlib import closing, suppress
from typing import Any

_CHUNK_BYTES = 256 * 1024


def plain_socket(attached: Any) -> socket.socket:
    """Non-blocking. TLS goes through a thread that ends when either side closes."""
    connection: socket.socket = getattr(attached, "_sock", attached)
    if isinstance(connection, ssl.SSLSocket):
        ours, theirs = socket.socketpair()
        answer = attached._response  # whose end closes the connection, and nothing else does
        threading.Thread(target=pump, args=(connection, theirs, answer), name="docker-tls", daemon=True).start()
    else:
        ours = connection.dup()
        attached.close()
        connection.close()
    ours.setblocking(False)
    return ours


def pump(tls: ssl.SSLSocket, plain: socket.socket, answer: Any) -> None:
    """Carry bytes both ways until either end closes, and close the other."""
    with closing(answer), tls, plain, suppress(OSError):
        while True:
            ready = [tls] if tls.pending() else select.select([tls, plain], [], [])[0]
            for source, target in ((tls, plain), (plain, tls)):
                if source in ready:
                    data = _received(source)
                    if data == b"":
                        return
                    target.setblocking(True)
                    target.sendall(data or b"")


def _received(source: socket.socket) -> bytes | None:
    """What is there; b"" at the end. None when it was half a record, or one that is TLS's own business."""
    source.setblocking(False)
    try:
        return source.recv(_CHUNK_BYTES)
    except ssl.SSLWantReadError:
        return None
