"""/docs: the OpenAPI document as a page for people. It has no script and loads nothing: what runs on an origin where
users paste tokens has them.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from html import escape
from typing import Any, Final

_STYLE: Final = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; }
h2, code, pre { font-family: ui-monospace, monospace; }
h2 { font-size: 1.1rem; }
pre { overflow: auto; padding: 0.5rem; border: 1px solid #8888; font-size: 0.85rem; }
table { border-collapse: collapse; }
th, td { padding: 0.2rem 1rem 0.2rem 0; text-align: left; vertical-align: top; }
"""
_STYLE_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()
HEADERS: Final = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


def docs_page(openapi: Mapping[str, Any]) -> str:
    """The page, to be served with HEADERS."""
    title = f"{openapi['info']['title']} {openapi['info']['version']}"
    operations = [
        (f"{method.upper()} {path}", operation)
        for path, item in openapi["paths"].items()
        for method, operation in item.items()
    ]
    schemas = openapi["components"]["schemas"]
    return "\n".join(
        (
            "<!doctype html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style></head>',
            f"<body><h1>{escape(title)}</h1>",
            f"<p>{_words(openapi['info']['summary'])} For programs: ",
            '<a href="/openapi.json">/openapi.json</a>.</p><ul>',
            *(f'<li><a href="#{each["operationId"]}">{escape(line)}</a></li>' for line, each in operations),
            "</ul>",
            *(part for line, each in operations for part in _operation(line, each)),
            "<h1>Schemas</h1>",
            *(f'<h2 id="{escape(name)}">{escape(name)}</h2>{_code(schema)}' for name, schema in schemas.items()),
            "</body></html>",
        )
    )


def _operation(line: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f'<h2 id="{operation["operationId"]}">{escape(line)}</h2>'
    yield f"<p>{_words(operation.get('description', operation['summary']))}</p>"
    yield "<p>With <code>Authorization: Bearer &lt;token&gt;</code>.</p>" if "security" in operation else ""
    if parameters := operation.get("parameters"):
        yield "<table>"
        yield from (
            f"<tr><th>{escape(each['name'])}</th><td>{each['in']}</td><td>{_words(each.get('description', ''))}</td>"
            f"<td><code>{escape(_bare(each['schema']))}</code></td></tr>"
            for each in parameters
        )
        yield "</table>"
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        yield from _content(f"A body of <code>{escape(media)}</code>", content)
    for status, answer in sorted(operation["responses"].items()):
        yield f"<p><b>{status}</b> {_words(answer['description'])}</p>"
        for media, content in answer.get("content", {}).items():
            if media != "application/problem+json":
                yield from _content(f"<code>{escape(media)}</code>", content)


def _content(what: str, content: Mapping[str, Any]) -> Iterator[str]:
    """Its examples, and its schema by name or folded up."""
    schema = content.get("schema", {})
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        yield f'<p>{what}: <a href="#{name}">{name}</a></p>'
    else:
        yield f"<details><summary>{what}</summary>{_code(schema)}</details>"
    examples = [each["value"] for each in content.get("examples", {}).values()]
    for example in examples + ([content["example"]] if "example" in content else []):
        yield _code(example)


def _bare(schema: Mapping[str, Any]) -> str:
    return json.dumps({name: value for name, value in schema.items() if name not in ("title", "description")})


def _code(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return f"<pre>{escape(text)}</pre>"


def _words(text: str) -> str:
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))
