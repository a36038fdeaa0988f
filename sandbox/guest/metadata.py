"""The agent block: TOML in comments between `# /// agent` and `# ///`, in the manner of PEP 723. Untrusted data."""

import ast
import re
import tomllib
from typing import Any

from sandbox.guest.language import problem

_OPEN = "# /// agent"
_CLOSE = "# ///"
_POSITION = re.compile(r"\(at line (\d+), column (\d+)\)$")
_MAX_DEPTH = 30


def read_metadata(source: str, tree: ast.Module) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The block as JSON, {} when there is none; and what is wrong with it."""
    lines = source.splitlines()
    starts = [number for number, line in enumerate(lines, 1) if line.rstrip() == _OPEN]
    if starts:
        inside_text = _text_lines(tree)
        starts = [number for number in starts if number not in inside_text]
    if not starts:
        return {}, []
    if len(starts) > 1:
        hint = "Keep one, at the top of the file."
        return {}, [problem(starts[1], 0, "metadata_twice", "there is a second agent block", hint)]
    content = _content(lines, starts[0])
    if content is None:
        hint = 'Begin every line of the block with "# ", and end it with a line "# ///".'
        return {}, [problem(starts[0], 0, "metadata_not_closed", "the agent block has no end", hint)]
    return _parse(content, starts[0])


def _text_lines(tree: ast.Module) -> set[int]:
    """Lines that begin inside of a string: what looks like a comment there is none."""
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant | ast.JoinedStr)]
    return {line for node in texts for line in range(node.lineno + 1, (node.end_lineno or node.lineno) + 1)}


def _content(lines: list[str], start: int) -> list[str] | None:
    """The TOML after line `start`: up to the last closing line of the comment, as PEP 723 has it."""
    block: list[str] = []
    for line in lines[start:]:
        if not (line.rstrip() == "#" or line.startswith("# ")):
            break
        block.append(line.rstrip())
    ends = [index for index, line in enumerate(block) if line == _CLOSE]
    return [line[2:] for line in block[: ends[-1]]] if ends else None


def _parse(content: list[str], start: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    try:
        return _as_json(tomllib.loads("".join(f"{line}\n" for line in content)), 0), []
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        position = _POSITION.search(message)
        line = start + int(position[1]) if position else start + len(content)
        column = int(position[2]) + 1 if position else 0  # TOML counts from 1, and "# " was cut off
        text = _POSITION.sub("", message).strip()
        hint = 'Write TOML, such as: name = "text", or leave the block out.'
        return {}, [problem(line, column, "metadata_not_toml", f"the agent block: {text}", hint)]
    except (ValueError, RecursionError) as error:
        hint = "Use text, numbers, true, false, lists and tables."
        return {}, [problem(start, 0, "metadata_not_json", f"the agent block: {error}", hint)]


def _as_json(value: Any, depth: int) -> Any:
    """TOML that is JSON as well: no dates, no infinity. Raises ValueError."""
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    if isinstance(value, dict):
        return {key: _as_json(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_json(item, depth + 1) for item in value]
    if isinstance(value, float) and value - value != 0:
        raise ValueError(f"{value} is not a number of JSON")
    if isinstance(value, str | int | float):
        return value
    raise ValueError(f"a {type(value).__name__} is not a value of JSON")
