"""`services.http` as an agent sees it."""

import json as json_text
from typing import Any

from sandbox.guest.services.asking import Ask
from sandbox.guest.services.secrets import header_value


class Response:
    """An answer: `status`, `headers` (names in lower case), `text`, `url`, `ok`, and `json()`."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.status: int = answer["status"]
        self.headers: dict[str, str] = answer["headers"]
        self.text: str = answer["text"]
        self.url: str = answer["url"]

    @property
    def ok(self) -> bool:
        """Whether the status is below 400."""
        return self.status < 400

    def json(self) -> Any:
        """The text as JSON. Raises ValueError when it is not."""
        return json_text.loads(self.text)


class Http:
    """Requests to the hosts that the manifest names."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

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
        """One request. A status of 400 and more is an answer; ServiceError means that there was none."""
        answer = self._ask(
            "http",
            "request",
            {
                "method": method,
                "url": url,
                "params": params,
                "headers": None if headers is None else {name: header_value(headers[name]) for name in headers},
                "json": json,
                "data": data,
                "timeout": timeout,
            },
        )
        return Response(answer)

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
