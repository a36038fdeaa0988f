"""JSON: custom encoder, hooks, sorting, merging and diffing of documents."""

import json
from copy import deepcopy
from datetime import date
from decimal import Decimal


class Encoder(json.JSONEncoder):
    def default(self, value):
        if isinstance(value, date):
            return {"$date": value.isoformat()}
        if isinstance(value, Decimal):
            return str(value)
        if isinstance(value, set):
            return sorted(value)
        return super().default(value)


def decode(members):
    if "$date" in members:
        return date.fromisoformat(members["$date"])
    return members


def merge(base, change):
    result = deepcopy(base)
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], value)
        else:
            result[key] = value
    return result


def differences(a, b, path=""):
    match a, b:
        case {**left}, {**right}:
            for key in sorted(left.keys() | right.keys()):
                yield from differences(left.get(key), right.get(key), f"{path}/{key}")
        case [*left], [*right] if len(left) == len(right):
            for index, (x, y) in enumerate(zip(left, right)):
                yield from differences(x, y, f"{path}/{index}")
        case _ if a != b:
            yield {"path": path or "/", "from": a, "to": b}


def run(document: dict, patch: dict):
    merged = merge(document, patch)
    text = json.dumps({"when": date(2024, 2, 29), "price": Decimal("1.50"), "tags": {"b", "a"}}, cls=Encoder, sort_keys=True)
    back = json.loads(text, object_hook=decode, parse_float=Decimal)
    errors = []
    for bad in ("{", "[1,]", "nope", '{"a": 1e999999}'):
        try:
            errors.append(json.loads(bad))
        except json.JSONDecodeError as error:
            errors.append([error.msg, error.pos, error.lineno])
    try:
        json.dumps({"x": object()}, cls=Encoder)
    except TypeError as error:
        errors.append(str(error))
    return {
        "merged": merged,
        "differences": list(differences(document, merged)),
        "text": text,
        "back": [back["when"].year, back["tags"]],
        "pretty": json.dumps(merged, indent=2, ensure_ascii=False),
        "errors": [str(e) for e in errors],
    }


EXAMPLES = [{"document": {"a": 1, "b": {"c": [1, 2], "d": "é"}, "e": 0}, "patch": {"b": {"c": [1, 3]}, "e": None, "f": True}}]
