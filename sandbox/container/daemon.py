"""The Docker daemon, as far as the engine needs it. The SDK blocks: this file owns the threads that it blocks in.

Every failure of the daemon is `DaemonError`, one line that is safe to log. Each thread has a client of its own, since
the SDK's is not made for several; a daemon that was away is asked anew by the next call.
"""

import asyncio
import io
import select
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException, ImageNotFound, NotFound
from docker.tls import TLSConfig

from sandbox.container.streams import Streams

THREADS = 4
ANSWER_SECONDS = 30
LABEL = "agenthost.instance"
_CHUNK_BYTES = 256 * 1024


class DaemonError(Exception):
    """The daemon cannot be reached, refused, or did not answer in time."""


class Daemon:
    """One daemon. `address` is a DOCKER_HOST; `certificates` the directory of ca.pem, cert.pem and key.pem for TLS."""

    def __init__(self, address: str, certificates: Path | None = None) -> None:
        self._address = address
        self._certificates = certificates
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="docker")
        self._own = threading.local()
        self._clients: list[docker.APIClient] = []

    def stop(self) -> None:
        """Wait for the calls in flight, which have time-outs."""
        self._threads.shutdown(cancel_futures=True)
        for client in self._clients:
            client.close()

    async def version(self) -> str:
        """Of the daemon that answers."""
        return str((await self._ask(lambda client: client.version()))["Version"])

    async def has_image(self, tag: str) -> bool:
        def look(client: docker.APIClient) -> bool:
            try:
                client.inspect_image(tag)
            except ImageNotFound:
                return False
            return True

        return await self._ask(look)

    async def build(
        self, context: bytes, *, tag: str, target: str, arguments: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        """Build an image from a tar; `say` is told each line of progress, in the loop's thread."""
        loop = asyncio.get_running_loop()

        def build(client: docker.APIClient) -> None:
            lines = client.build(
                fileobj=io.BytesIO(context),
                custom_context=True,
                tag=tag,
                target=target,
                buildargs=dict(arguments),
                rm=True,
                forcerm=True,
                decode=True,
            )
            for line in lines:
                if "error" in line:
                    raise DockerException(line["error"])
                if text := str(line.get("stream", line.get("status", ""))).strip():
                    loop.call_soon_threadsafe(say, text)

        await self._ask(build)

    async def create(self, options: Mapping[str, Any]) -> str:
        """A container, not started; its id."""
        host, rest = dict(options["host"]), {name: value for name, value in options.items() if name != "host"}

        def create(client: docker.APIClient) -> str:
            return str(client.create_container(**rest, host_config=client.create_host_config(**host))["Id"])

        return await self._ask(create)

    async def start(self, container: str) -> Streams:
        """Start it with its streams attached."""

        def start(client: docker.APIClient) -> socket.socket:
            attached = client.attach_socket(container, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
            connection = plain_socket(attached)
            try:
                client.start(container)
            except BaseException:
                connection.close()
                raise
            return connection

        connection = await self._ask(start, undo=socket.socket.close)
        loop = asyncio.get_running_loop()
        connect: Any = loop.create_connection
        if connection.family == socket.AF_UNIX:
            connect = loop.create_unix_connection
        _, streams = await connect(Streams, sock=connection)
        assert isinstance(streams, Streams)
        return streams

    async def remove(self, container: str) -> None:
        """Kill it and remove all of it. One that is not there any more is no error."""

        def remove(client: docker.APIClient) -> None:
            with suppress(NotFound):
                client.remove_container(container, force=True, v=True)

        await self._ask(remove)

    async def was_out_of_memory(self, container: str) -> bool:
        """Whether the kernel ended it for want of memory."""
        return bool((await self._ask(lambda client: client.inspect_container(container)))["State"]["OOMKilled"])

    async def labelled(self, instance: str) -> list[str]:
        """The ids of all containers of one instance, running or not."""
        found = await self._ask(
            lambda client: client.containers(all=True, quiet=True, filters={"label": f"{LABEL}={instance}"})
        )
        return [one["Id"] for one in found]

    async def _ask[Answer](
        self, question: Callable[[docker.APIClient], Answer], *, undo: Callable[[Answer], object] | None = None
    ) -> Answer:
        """`undo` is told an answer that nobody waits for any more."""

        def ask() -> Answer:
            return question(self._client())

        answer = self._threads.submit(ask)
        try:
            return await asyncio.wrap_future(answer)
        except asyncio.CancelledError:
            if undo is not None:
                answer.add_done_callback(lambda done: done.cancelled() or done.exception() or undo(done.result()))
            raise
        except (DockerException, OSError) as error:  # those of its HTTP client are OSErrors
            raise DaemonError(_one_line(error)) from error

    def _client(self) -> docker.APIClient:
        client = getattr(self._own, "client", None)
        if client is None:
            tls = None if self._certificates is None else mutual_tls(self._certificates)
            client = docker.APIClient(self._address, version="auto", timeout=ANSWER_SECONDS, tls=tls)
            self._own.client = client
            self._clients.append(client)
        return client


def mutual_tls(certificates: Path) -> TLSConfig:
    """The client's certificate, and the authority that the daemon's is checked with."""
    pair = str(certificates / "cert.pem"), str(certificates / "key.pem")
    return TLSConfig(client_cert=pair, ca_cert=str(certificates / "ca.pem"), verify=True)


def plain_socket(attached: Any) -> socket.socket:
    """An event loop's socket of what the SDK attached. TLS goes through a thread: loops take no wrapped sockets."""
    connection: socket.socket = getattr(attached, "_sock", attached)
    if isinstance(connection, ssl.SSLSocket):
        ours, theirs = socket.socketpair()
        threading.Thread(target=pump, args=(connection, theirs, attached), name="docker-tls", daemon=True).start()
    else:
        ours = connection.dup()
        attached.close()
        connection.close()
    ours.setblocking(False)
    return ours


def pump(tls: ssl.SSLSocket, plain: socket.socket, attached: Any) -> None:
    """Carry bytes both ways until either end closes."""
    del attached  # held until now: it would close the connection
    tls.settimeout(None)
    with tls, plain, suppress(OSError):
        while True:
            ready = [tls] if tls.pending() else select.select([tls, plain], [], [])[0]
            for source, target in ((tls, plain), (plain, tls)):
                if source in ready:
                    data = source.recv(_CHUNK_BYTES)
                    if not data:
                        return
                    target.sendall(data)


def _one_line(error: Exception) -> str:
    text = str(getattr(error, "explanation", None) or error) or type(error).__name__
    return " ".join(text.split())[:500]
