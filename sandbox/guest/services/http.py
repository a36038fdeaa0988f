"""`services.http` as an agent sees it."""

import json as json_text
from typing import Any

from sandbox.guest.services.asking import Service
from sandbox.guest.services.secrets import header_value


class Headers(dict[str, str]):
    """Headers of an answer, whose names may be asked for in any case."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        """The header, or `default` when there is none. Several of one name are one, joined by a comma."""
        return super().get(name.lower(), default)


class Response:
    """An answer, whatever its status: `status`, `headers`, `text`, `url` (behind redirects), `ok`, and `json()`."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.status: int = answer["status"]
        self.headers = Headers(answer["headers"])
        self.text: str = answer["text"]
        self.url: str = answer["url"]

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status < 400

    def json(self) -> Any:
        """The text as JSON. Raises ValueError when it is not."""
        try:
            return json_text.loads(self.text)
        except (ValueError, RecursionError):
            begin = self.text[:60]
            raise ValueError(f"the answer of {self.url} (status {self.status}) is not JSON: {begin!r}") from None

    def __repr__(self) -> str:
        return f"<Response {self.status} of {self.url}>"


class Http(Service):
    """Requests to the hosts that the manifest names, over https unless it also names http.

    Each call raises CapabilityDenied for what the manifest lacks, ServiceError when there is no answer (no connection,
    no time left, too large), and ValueError or TypeError for arguments that cannot be sent.
    """

    def request(
        self,
        method: str,
        url: str,
        params: dict[str, Any] | None = None,
        headers: dict[str, Any] | None = None,
        json: Any = None,
        data: Any = None,
        timeout: float | None = None,
    ) -> Response:
        """One request, and redirects that stay within the manifest. `params` are added to the query; `json` or `data`
        is the body, where a dict of `data` is sent as a form and a text as it is; `timeout` is in seconds."""
        if isinstance(headers, dict):
            headers = {name: header_value(headers[name]) for name in headers}
        args = {"method": method, "url": url, "params": params, "headers": headers}
        return Response(self._ask("http", "request", {**args, "json": json, "data": data, "timeout": timeout}))

    def get(self, url: str, **options: Any) -> Response:
        """GET; options as for `request`."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> Response:
        """POST; options as for `request`."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> Response:
        """PUT; options as for `request`."""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Any) -> Response:
        """PATCH; options as for `request`."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Any) -> Response:
        """DELETE; options as for `request`."""
        return self.request("DELETE", url, **options)
