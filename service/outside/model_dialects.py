"""The three ways to ask that providers understand, best first, and how their answers read. No network here.

An answer is a stranger's JSON: whatever it holds, reading ends in `Said` or in Unreadable.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from service.outside.model_question import Ending, Question, Said, Tokens
from service.outside.model_stream import ChatGathering, Gathering, ResponsesGathering

MAX_TOKENS_TOLD: Final = 10**8
FENCED_RULE: Final = (
    "Answer with one JSON object that fits the JSON Schema below, in a fenced block that begins with ```json, "
    "and with nothing else.\n"
)


class Unreadable(Exception):
    """JSON that is no answer of this API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One way: where a question is posted, as what, and what the answer says."""

    name: str
    path: str
    body: Callable[[Question], dict[str, Any]]
    read: Callable[[Any], Said]
    streamed: Mapping[str, Any]
    """What the body also says to have the answer in pieces, and what puts them together."""
    gather: Callable[[], Gathering]


def _responses_body(question: Question) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": question.model,
        "input": question.prompt,
        "max_output_tokens": question.max_tokens,
        "store": False,
    }
    if question.system is not None:
        body["instructions"] = question.system
    if question.temperature is not None:
        body["temperature"] = question.temperature
    if question.schema is not None:
        body["text"] = {"format": {"type": "json_schema", **_named_schema(question.schema)}}
    return body


def _chat_body(question: Question) -> dict[str, Any]:
    body = _plain_chat_body(question, question.system)
    if question.schema is not None:
        body["response_format"] = {"type": "json_schema", "json_schema": _named_schema(question.schema)}
    return body


def _fenced_body(question: Question) -> dict[str, Any]:
    if question.schema is None:
        return _plain_chat_body(question, question.system)
    rule = FENCED_RULE + json.dumps(question.schema)
    return _plain_chat_body(question, rule if question.system is None else f"{question.system}\n\n{rule}")


def _plain_chat_body(question: Question, system: str | None) -> dict[str, Any]:
    messages = [{"role": "user", "content": question.prompt}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    body: dict[str, Any] = {"model": question.model, "messages": messages, "max_tokens": question.max_tokens}
    if question.temperature is not None:
        body["temperature"] = question.temperature
    return body


def _named_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    schema = closed(schema)
    return {"name": "answer", "schema": schema, "strict": strict(schema)}


def closed(schema: Any) -> Any:
    """The schema with no room for properties that it does not name: a value that fits it fits the other too."""
    if not isinstance(schema, Mapping):
        return schema
    tighter = dict(schema)
    if "properties" in schema:
        tighter = {"additionalProperties": False, **tighter}
        tighter["properties"] = {name: closed(inside) for name, inside in schema["properties"].items()}
    if "items" in schema:
        tighter["items"] = closed(schema["items"])
    if "anyOf" in schema:
        tighter["anyOf"] = [closed(each) for each in schema["anyOf"]]
    return tighter


def strict(schema: Any) -> bool:
    """Whether a provider can be held to the schema: it wants every object closed, and all that is in it required."""
    properties = schema.get("properties", {})
    if "object" in schema.get("type", ()):
        is_closed = schema.get("additionalProperties") is False
        if not is_closed or set(schema.get("required", ())) != set(properties):
            return False
    inside = [*properties.values(), *schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else [])]
    return ("type" in schema or "anyOf" in schema) and all(map(strict, inside))


def _read_responses(answer: Any) -> Said:
    match answer:
        case {"output": list(items)}:
            contents = [
                item["content"]
                for item in items
                if isinstance(item, dict) and item.get("type") == "message" and isinstance(item.get("content"), list)
            ]
        case {"status": "failed"}:
            contents = []
        case _:
            raise Unreadable
    parts = [part for content in contents for part in content if isinstance(part, dict)]
    refusal = _joined(parts, "refusal", "refusal")
    ending: Ending = "refused" if refusal else "complete"
    match answer:
        case {"status": "failed"}:
            ending = "failed"
        case {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}:
            ending = "filtered"
        case {"status": "incomplete"}:
            ending = "cut"
    text = refusal or _joined(parts, "output_text", "text")
    return Said(text=text, ending=ending, tokens=_tokens(answer, "input_tokens", "output_tokens"))


def _joined(parts: list[dict[str, Any]], kind: str, name: str) -> str:
    return "".join(part[name] for part in parts if part.get("type") == kind and isinstance(part.get(name), str))


def _read_chat(answer: Any) -> Said:
    match answer:
        case {"choices": [{"message": dict(message)} as choice, *_]}:
            pass
        case _:
            raise Unreadable
    text, refusal = message.get("content"), message.get("refusal")
    ending: Ending = "complete"
    if isinstance(refusal, str) and refusal:
        text, ending = refusal, "refused"
    elif choice.get("finish_reason") == "content_filter":
        ending = "filtered"
    elif choice.get("finish_reason") == "length":
        ending = "cut"
    text = text if isinstance(text, str) else ""
    return Said(text=text, ending=ending, tokens=_tokens(answer, "prompt_tokens", "completion_tokens"))


def _tokens(answer: Mapping[str, Any], input_name: str, output_name: str) -> Tokens | None:
    """What the provider counted; None when it said nothing, or nothing that can be."""
    usage = answer.get("usage")
    counts = [_count(usage.get(name)) for name in (input_name, output_name)] if isinstance(usage, dict) else []
    return Tokens(input=counts[0], output=counts[1]) if any(counts) else None


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value <= MAX_TOKENS_TOLD else 0


_STREAMED: Final = {"stream": True}
_COUNTED: Final = {"stream": True, "stream_options": {"include_usage": True}}

RESPONSES: Final = Dialect(
    name="responses",
    path="/responses",
    body=_responses_body,
    read=_read_responses,
    streamed=_STREAMED,
    gather=ResponsesGathering,
)
CHAT: Final = Dialect(
    name="chat",
    path="/chat/completions",
    body=_chat_body,
    read=_read_chat,
    streamed=_COUNTED,
    gather=ChatGathering,
)
FENCED: Final = replace(CHAT, name="fenced", body=_fenced_body)
DIALECTS: Final = (RESPONSES, CHAT, FENCED)
