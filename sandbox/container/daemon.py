"""The Docker daemon, as far as the engine needs it. The SDK blocks: this file owns the threads that it blocks in.

Every failure of the daemon is `DaemonError`, one line that is safe to log. No call waits longer than its time; a thread
that still does holds up neither another call nor the end of this process.
"""

import asyncio
import io
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.tls import TLSConfig

from sandbox.container.attached import plain_socket
from sandbox.container.streams import Streams

LABEL = "agenthost.instance"
ANSWER_SECONDS = 30.0
LOOK_SECONDS = 5.0
"""For questions that a daemon answers at once, however busy it is."""

BUILD_SILENCE_SECONDS = 300.0
_UNIX = "unix://"
_OLDEST_API = "1.40"
_PROGRESS = ("Step ", "Pulling from ")


class DaemonError(Exception):
    """The daemon cannot be reached, refused, or did not answer in time."""


class Daemon:
    """One daemon. `address` is a DOCKER_HOST; `certificates` the directory of ca.pem, cert.pem and key.pem for TLS."""

    def __init__(self, address: str, certificates: Path | None = None) -> None:
        self._address = address
        self._certificates = certificates if urlsplit(address).scheme == "tcp" else None
        self._idle: list[docker.APIClient] = []
        self._open = True

    def stop(self) -> None:
        """Calls in flight are left to their time-outs."""
        self._open = False
        while self._idle:
            self._idle.pop().close()

    async def version(self) -> str:
        """Of the daemon that answers."""
        return str((await self._ask(lambda client: client.version(), seconds=LOOK_SECONDS))["Version"])

    async def has_image(self, tag: str) -> bool:
        def look(client: docker.APIClient) -> bool:
            try:
                client.inspect_image(tag)
            except ImageNotFound:
                return False
            return True

        return await self._ask(look, seconds=LOOK_SECONDS)

    async def build(
        self, context: bytes, *, tag: str, target: str, arguments: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        """Build an image from a tar; `say` is told each step, in the loop's thread."""
        loop = asyncio.get_running_loop()

        def build(client: docker.APIClient) -> None:
            lines: Iterable[Mapping[str, Any]] = client.build(
                fileobj=io.BytesIO(context),
                custom_context=True,
                tag=tag,
                target=target,
                buildargs=dict(arguments),
                rm=True,
                forcerm=True,
                decode=True,
                timeout=BUILD_SILENCE_SECONDS,
                use_config_proxy=False,
            )
            error = None
            for line in lines:  # to the end, or the connection stays open
                error = line.get("error", error)
                text = str(line.get("stream", line.get("status", ""))).strip()
                if text.startswith(_PROGRESS):
                    loop.call_soon_threadsafe(say, text)
            if error is not None:
                raise DockerException(error)

        await self._ask(build, seconds=None)

    async def create(self, name: str, options: Mapping[str, Any]) -> None:
        """A container, not started. After a failure it may be there all the same."""
        host, rest = dict(options["host"]), {key: value for key, value in options.items() if key != "host"}

        def create(client: docker.APIClient) -> None:
            config = client.create_host_config(**host)
            # An operator's proxy may have a password in it, which is none of the agents' business.
            client.create_container(name=name, host_config=config, use_config_proxy=False, **rest)

        await self._ask(create)

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

    async def death_of(self, container: str) -> tuple[bool, int]:
        """Of one that has ended: whether the kernel did it for want of memory, and its exit code."""

        def look(client: docker.APIClient) -> tuple[bool, int]:
            code = int(client.wait(container, timeout=LOOK_SECONDS)["StatusCode"])
            return bool(client.inspect_container(container)["State"]["OOMKilled"]), code

        return await self._ask(look, seconds=LOOK_SECONDS)

    async def labelled(self, instance: str) -> list[str]:
        """The names of all containers of one instance, running or not."""
        filters = {"label": f"{LABEL}={instance}"}
        found = await self._ask(lambda client: client.containers(all=True, filters=filters), seconds=LOOK_SECONDS)
        return [str(one["Names"][0]).removeprefix("/") if one["Names"] else str(one["Id"]) for one in found]

    async def _ask[Answer](
        self,
        question: Callable[[docker.APIClient], Answer],
        *,
        seconds: float | None = ANSWER_SECONDS,
        undo: Callable[[Answer], object] | None = None,
    ) -> Answer:
        """Ask in a thread. `undo` is told an answer that comes when nobody waits for it any more."""
        answer: Future[Answer] = Future()
        answer.set_running_or_notify_cancel()
        work = threading.Thread(target=self._work, args=(question, seconds, answer), name="docker", daemon=True)
        work.start()
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.wrap_future(answer)
        except BaseException as error:
            if undo is not None:
                answer.add_done_callback(lambda done: done.exception() or undo(done.result()))
            if isinstance(error, Exception):  # a daemon that answers nonsense has many
                raise DaemonError(_one_line(error)) from error
            raise

    def _work[Answer](
        self, question: Callable[[docker.APIClient], Answer], seconds: float | None, answer: Future[Answer]
    ) -> None:
        """In a thread: a client that nobody uses, or a new one. One that failed is not used again."""
        client = None
        try:
            self._require_socket(seconds or ANSWER_SECONDS)
            try:
                client = self._idle.pop()
            except IndexError:
                client = self._connected(seconds or ANSWER_SECONDS)
            client.timeout = seconds or ANSWER_SECONDS
            result = question(client)
        except BaseException as error:
            if client is not None:
                client.close()
            answer.set_exception(error)
        else:
            if self._open:
                self._idle.append(client)
            else:
                client.close()
            answer.set_result(result)

    def _require_socket(self, seconds: float) -> None:
        """The SDK leaves a socket open that it could not connect: OSError before it tries."""
        if self._address.startswith(_UNIX):
            with socket.socket(socket.AF_UNIX) as trial:
                trial.settimeout(seconds)
                trial.connect(self._address.removeprefix(_UNIX))

    def _connected(self, seconds: float) -> docker.APIClient:
        """A client that speaks the daemon's own version of the API."""
        asking = self._client(_OLDEST_API, seconds)
        try:
            spoken = asking.version(api_version=False)["ApiVersion"]
        finally:
            asking.close()
        return self._client(spoken, seconds)

    def _client(self, version: str, seconds: float) -> docker.APIClient:
        tls = None if self._certificates is None else mutual_tls(self._certificates)
        client = docker.APIClient(self._address, version=version, timeout=seconds, tls=tls)
        client.trust_env = False  # neither a proxy nor other authorities than ours
        return client


def mutual_tls(certificates: Path) -> TLSConfig:
    """The client's certificate, and the authority that the daemon's is checked with."""
    pair = str(certificates / "cert.pem"), str(certificates / "key.pem")
    return TLSConfig(client_cert=pair, ca_cert=str(certificates / "ca.pem"), verify=True)


def _one_line(error: BaseException) -> str:
    if isinstance(error, APIError):
        text = f"the Docker daemon refused: {error.explanation or error}"
    elif isinstance(error, TimeoutError):
        text = "the Docker daemon did not answer in time"
    elif isinstance(error, OSError):
        text = f"the Docker daemon cannot be reached: {_innermost(error)}"
    else:
        text = str(error) or type(error).__name__
    return " ".join(text.split())[:500]


def _innermost(error: BaseException) -> str:
    """What the operating system says, under the layers of an HTTP client."""
    found: object = error
    while isinstance(found, BaseException):
        if isinstance(found, OSError) and found.strerror:
            return found.strerror
        found = found.__context__ or next((arg for arg in found.args if isinstance(arg, BaseException)), None)
    return type(error).__name__
