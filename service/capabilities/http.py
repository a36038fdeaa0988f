"""http: requests to the hosts that the manifest names.

Live they go through the guarded client, each hop of a redirect under the same grant. A dry run sends nothing and looks
no name up: a fixture answers, else what the last live run was answered, else an empty object that is marked made up.
"""

import json
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.capabilities.capability import (
    Answer,
    Capability,
    DryContext,
    GuestError,
    LiveContext,
    RunContext,
    denied,
)
from service.capabilities.fixtures import HttpFixture
from service.capabilities.http_arguments import Request, fits_a_header
from service.capabilities.manifest import PLAIN, HttpGrant, Manifest
from service.capabilities.masking import Mask
from service.capabilities.plain_json import cleaned_text
from service.capabilities.secrets import require_secret, reveal, secret_hosts
from service.outside.http import HttpError, HttpRequest
from service.outside.http_url import PORTS, HttpUrl


class Answered(BaseModel):
    """What a guest gets. Also the shape of a recorded answer, whose row is the user's to write."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    status: Annotated[int, Field(ge=100, le=999)]
    headers: dict[str, str]
    text: str
    url: str


class LiveHttp:
    """Sends the request. What a run has once sent of secrets is masked in all its answers: servers remember."""

    def __init__(self, context: LiveContext) -> None:
        self._run = context
        self._sent: dict[str, str] = {}

    async def request(self, arguments: Request) -> Any:
        door = self._run.outside.http
        if door is None:
            raise GuestError("ServiceError", "http.request: this host sends no requests")
        _require_small(arguments, self._run)
        url = arguments.address()
        names = arguments.secret_names()
        values = {name: await reveal(self._run, name, partial(_require_bound, name, url)) for name in names}
        request = _with_headers(arguments, values)
        self._sent |= values
        mask = Mask(self._sent.values())
        limits = self._run.limits
        seconds = min(arguments.timeout or limits.limit_http_seconds, limits.limit_http_seconds)
        try:
            answer = await door.request(
                request,
                seconds=min(seconds, self._run.budget.call_seconds()),
                most_bytes=limits.limit_http_response_bytes,
                permit=self._permit,
            )
        except HttpError as error:
            message = f"http.request: {mask.text(str(error))}"
            raise GuestError("ServiceError", message, performed=error.sent) from None
        return _answered(
            answer.status,
            {mask.text(name): mask.text(value) for name, value in answer.headers.items()},
            mask.text(answer.text),
            mask.text(str(answer.url)),
        )

    def _permit(self, method: str, url: HttpUrl) -> None:
        """The grant, for each hop. The first has been permitted before, so what is refused is a redirect."""
        grant = self._run.manifest.http
        if reason := _not_granted(grant, method, url) if grant else "http is not granted":
            raise HttpError(f"a redirect leads to {method} {url.scheme}://{url.netloc}: {reason}")


class DryHttp:
    """Sends nothing, after the same checks."""

    def __init__(self, context: DryContext) -> None:
        self._run = context

    async def request(self, arguments: Request) -> Any:
        _require_small(arguments, self._run)
        for name in arguments.secret_names():
            _require_bound(name, arguments.address(), await secret_hosts(self._run, name))
        url = str(arguments.address())
        fixtures = self._run.fixtures
        # Owners write a URL as their agents do, who may leave out the path.
        if fixture := fixtures.for_request(arguments.method, url) or fixtures.for_request(
            arguments.method, arguments.url
        ):
            return Answer(_from_fixture(fixture, url), "fixture")
        try:
            recorded = Answered.model_validate(await self._run.recorded("http", "request", arguments))
        except ValidationError:
            return Answer(_answered(200, {"content-type": "application/json"}, "{}", url), "made_up")
        return Answer(_answered(recorded.status, recorded.headers, recorded.text, recorded.url), "recorded")


def _require_small(arguments: Request, run: RunContext) -> None:
    body, _ = arguments.body()
    most = run.limits.limit_http_request_bytes
    if len(body) > most:
        raise GuestError("ValueError", f"http.request: the body has {len(body)} bytes, the limit is {most} bytes")


def _require_bound(name: str, url: HttpUrl, hosts: tuple[str, ...]) -> None:
    if not any(_is_bound(pattern, url) for pattern in hosts):
        where = url.netloc if url.scheme == "https" else f"{PLAIN}{url.netloc}"
        raise denied(
            f"the secret {name} is not bound to {where}: it goes to {', '.join(hosts)}. "
            f"To send it there too, PUT /secrets/{name} with that host"
        )


def _with_headers(arguments: Request, secrets: Mapping[str, str]) -> HttpRequest:
    """The request with the secrets in it: the last that is done before it is sent."""
    if not all(map(fits_a_header, secrets.values())):
        raise GuestError("ServiceError", "http.request: the value of a secret does not fit into a header")
    body, content_type = arguments.body()
    values = arguments.header_values(secrets)
    secret_names = arguments.headers_with_secrets()
    headers = {name: value for name, value in values.items() if name not in secret_names}
    if content_type and "content-type" not in map(str.lower, values):
        headers["Content-Type"] = content_type
    return HttpRequest(
        method=arguments.method,
        url=arguments.address(),
        headers=headers,
        private={name: values[name] for name in secret_names},
        body=body,
    )


def _answered(status: int, headers: Mapping[str, str], text: str, url: str) -> dict[str, Any]:
    plain = {cleaned_text(name): cleaned_text(value) for name, value in headers.items()}
    return {"status": status, "headers": plain, "text": cleaned_text(text), "url": cleaned_text(url)}


def _from_fixture(fixture: HttpFixture, url: str) -> dict[str, Any]:
    headers = {name.lower(): value for name, value in fixture.headers.items()}
    if fixture.text is not None:
        return _answered(fixture.status, headers, fixture.text, url)
    given = "json_value" in fixture.model_fields_set
    headers = ({"content-type": "application/json"} if given else {}) | headers
    return _answered(fixture.status, headers, json.dumps(fixture.json_value) if given else "", url)


def matches(pattern: str, url: HttpUrl) -> bool:
    """Whether a URL is at a host of a manifest or of a secret: `*.example.com` is not example.com itself, and without a
    port the scheme's own is meant."""
    host, _, port = pattern.partition(":")
    if str(url.port) != (port or str(PORTS[url.scheme])):
        return False
    return url.host.endswith(host[1:]) if host.startswith("*.") else url.host == host


def _is_bound(pattern: str, url: HttpUrl) -> bool:
    """Whether a secret with this binding may be sent: over https, unless the binding begins with http://."""
    scheme = "http" if pattern.startswith(PLAIN) else "https"
    return url.scheme == scheme and matches(pattern.removeprefix(PLAIN), url)


def _not_granted(grant: HttpGrant, method: str, url: HttpUrl) -> str | None:
    """What the grant lacks, as what to add to it."""
    block = "[capabilities.http] in its '# /// agent' block, or of capabilities.http in its agent_config"
    if url.scheme not in grant.schemes:
        return f'add "{url.scheme}" to schemes of {block}'
    if not any(matches(pattern, url) for pattern in grant.hosts):
        return f'add "{url.netloc}" to hosts of {block}'
    if method not in grant.methods:
        return f'add "{method}" to methods of {block}'
    return None


def _permit(manifest: Manifest, action: str, arguments: Request, context: RunContext) -> None:
    url = arguments.address()
    for name in arguments.secret_names():
        require_secret(manifest, name)
    if manifest.http is None or (reason := _not_granted(manifest.http, arguments.method, url)):
        raise denied(f"the agent may not send {arguments.method} to {url.scheme}://{url.netloc}: {reason}")


HTTP: Final = Capability(name="http", arguments={"request": Request}, live=LiveHttp, dry_run=DryHttp, permit=_permit)
