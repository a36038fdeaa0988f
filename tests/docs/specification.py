"""The parts of the docs that are written from the code.

`python -m tests.docs.specification` writes them into their pages, between their markers; the test compares.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import typer
from typer.core import TyperGroup

from sandbox.guest.services import Services
from sandbox.restricted.importer import MODULES
from service import cli
from service.app import create_app
from service.errors import ERRORS
from service.settings import Settings, documented
from tests.docs.document import ROOT
from tests.docs.markdown import table
from tests.docs.tables import from_a_new_database

SPECIFICATION: Final = ROOT / "docs" / "technical-specification.md"
ARCHITECTURE: Final = ROOT / "docs" / "architecture.md"
AGENTS: Final = ROOT / "docs" / "agents.md"
_SECTION: Final = r"(<!-- from the code: {name} -->\n).*?(<!-- end -->)"
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_COMMON: Final = ("help", "output", "url", "token")


NAMES: Final = [
    *((SPECIFICATION, name) for name in ("routes", "errors", "settings", "limits", "commands")),
    *((ARCHITECTURE, name) for name in ("service", "sandbox")),
    *((AGENTS, name) for name in ("modules", "services")),
]


def sections() -> dict[tuple[Path, str], str]:
    """What should stand in each section of each page."""
    return {
        (SPECIFICATION, "routes"): routes_table(create_app(Settings()).openapi()),
        (SPECIFICATION, "errors"): errors_table(),
        (SPECIFICATION, "settings"): settings_table(limits=False),
        (SPECIFICATION, "limits"): settings_table(limits=True),
        (SPECIFICATION, "commands"): commands_table(),
        (ARCHITECTURE, "service"): code_map(ROOT / "service"),
        (ARCHITECTURE, "sandbox"): code_map(ROOT / "sandbox"),
        (AGENTS, "modules"): modules_list(),
        (AGENTS, "services"): services_table(),
    }


def written(page: str, name: str, content: str) -> str:
    """The page with the section `name` replaced."""
    pattern = re.compile(_SECTION.format(name=re.escape(name)), re.DOTALL)
    assert len(pattern.findall(page)) == 1, f"the page has no section {name!r}"
    return pattern.sub(lambda found: f"{found[1]}{content}{found[2]}", page)


def routes_table(openapi: Mapping[str, Any]) -> str:
    rows = (
        (f"`{method.upper()} {path}`", operation.get("description", operation["summary"]).split("\n\n")[0])
        for path, operations in openapi["paths"].items()
        for method, operation in operations.items()
        if method in _METHODS
    )
    return table("route | does", rows)


def errors_table() -> str:
    rows = ((f"`{code}`", str(kind.status), kind.title, kind.hint) for code, kind in ERRORS.items())
    return table("code | status | title | hint", rows)


def settings_table(*, limits: bool) -> str:
    rows = (
        (", else ".join(f"`{name}`" for name in names), _default(default), description)
        for names, default, description in documented()
        if names[0].startswith("AGENTHOST_LIMIT_") == limits
    )
    return table("variable | default | meaning", rows)


def _default(value: Any) -> str:
    if value in (None, (), ""):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and value >= 1024 and value % 1024 == 0:
        return f"{value // 1024**2} MiB" if value % 1024**2 == 0 else f"{value // 1024} KiB"
    return f"{value:g}" if isinstance(value, int | float) else f"`{value}`"


def commands_table() -> str:
    group = typer.main.get_command(cli.app)
    assert isinstance(group, TyperGroup)
    rows = []
    for name, command in _commands(group, "agenthost"):
        options = " ".join(_usage(each) for each in command.params if each.name not in _COMMON)
        rows.append((f"`{name} {options}`".replace(" `", "`"), (command.help or "").split("\n\n")[0]))
    return table("command | does", rows)


def _commands(group: TyperGroup, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def _usage(parameter: Any) -> str:
    """As in a manual: brackets around what may be left out, dots after what may be repeated."""
    if parameter.param_type_name == "option":
        flag = next(name for name in parameter.opts if name.startswith("--"))
        usage = flag if parameter.is_flag else f"{flag} {parameter.name.upper()}"
        again = f" [{flag} ...]" if parameter.multiple else ""
    else:
        usage, again = parameter.metavar or parameter.name.upper(), "..." if parameter.nargs == -1 else ""
    return f"{usage}{again}" if parameter.required else f"[{usage}{again}]"


def modules_list() -> str:
    names = " ".join(f"`{name}`" for name in sorted(MODULES - {"__future__", "urllib"}))
    return textwrap.fill(names, 120, break_long_words=False) + "\n"


def services_table() -> str:
    """Every method of every service, with its signature and the first sentence of its docstring."""
    rows = []
    for service, methods in vars(Services(lambda *_: None)).items():
        for name, method in inspect.getmembers(methods, inspect.ismethod):
            if not name.startswith("_"):
                call = f"services.{service}.{name}({', '.join(_parameters(inspect.signature(method)))})"
                rows.append((f"`{call}`", _first_sentence(inspect.getdoc(method) or "")))
    return table("call | does", rows)


def _parameters(signature: inspect.Signature) -> Iterator[str]:
    """As in a `def`, without the annotations."""
    keyword_only = False
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            yield "*"
        yield str(parameter.replace(annotation=inspect.Parameter.empty))


def code_map(package: Path) -> str:
    """Every file of a package with the first sentence of its docstring."""
    rows = []
    for path in sorted(package.rglob("*.py"), key=lambda path: (path.parent, path.name)):
        said = ast.get_docstring(ast.parse(path.read_bytes()))
        if said is not None and path.name != "__init__.py":
            rows.append((f"`{path.relative_to(ROOT).as_posix()}`", _first_sentence(said)))
    return table("file | duty", rows)


def _first_sentence(docstring: str) -> str:
    paragraph = " ".join(docstring.split("\n\n")[0].split())
    return re.split(r"(?<=\.) (?=[A-Z`])", paragraph)[0]


if __name__ == "__main__":
    stored = {(SPECIFICATION, name): content for name, content in from_a_new_database().items()}
    for (page, name), content in (sections() | stored).items():
        page.write_text(written(page.read_text(), name, content))
