"""compose.yaml as it stands, on a real engine: only the images are named, and a Postgres stands in for the official."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.deploy.agents import count, define
from tests.deploy.engine import ROOT, build_postgres, client_of

OWNERS = """
select distinct rolname, rolsuper, rolbypassrls from pg_roles where oid in (
  select datdba from pg_database where datname = current_database()
  union select nspowner from pg_namespace where nspname like 'agenthost%'
  union select relowner from pg_class where relnamespace::regnamespace::text like 'agenthost%'
  union select proowner from pg_proc where pronamespace::regnamespace::text like 'agenthost%')
"""


class Project:
    """One `docker compose` project of this checkout, with secrets of its own."""

    def __init__(self, directory: Path, images: dict[str, str]) -> None:
        self._command = _compose()
        self._name = f"agenthost-test-{uuid4().hex[:12]}"
        (directory / "deploy").mkdir()
        shutil.copy(ROOT / "deploy/secrets.sh", directory / "deploy")
        subprocess.run(["sh", directory / "deploy/secrets.sh"], check=True)
        self._secrets = directory / ".env"
        self._environment = {**os.environ, **images}

    def __call__(self, *arguments: str) -> str:
        command = [*self._command, "--project-name", self._name, "--env-file", str(self._secrets), *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self._environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.strip()


def _compose() -> list[str]:
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True).returncode == 0:
            return command
    pytest.skip("no docker compose here: install it (Debian: docker-compose)")


@pytest.fixture
def project(tmp_path: Path, service: str) -> Iterator[Project]:
    images = {"AGENTHOST_IMAGE": service, "POSTGRES_IMAGE": build_postgres(service)}
    project = Project(tmp_path, {**images, "AGENTHOST_PUBLISHED_PORT": "0"})
    try:
        yield project
    finally:
        project("down", "--volumes")


def serving(project: Project) -> httpx.Client:
    address = project("port", "agenthost", "8000")
    return client_of(address, lambda: project("exec", "-T", "agenthost", "agenthost", "token"), lambda: project("logs"))


def query(project: Project, sql: str) -> str:
    """What the superuser sees."""
    ask = 'PGPASSWORD="$POSTGRES_PASSWORD" exec psql -h /run/postgresql -U postgres -d agenthost -Atc "$0"'
    return project("exec", "-T", "postgres", "sh", "-c", ask, sql)


def test_the_project_migrates_serves_and_keeps_its_data(project: Project) -> None:
    project("up", "--detach")
    with serving(project) as http:
        define(http)
        assert count(http) == 1
    project("stop")
    project("up", "--detach")
    with serving(project) as http:
        assert count(http) == 2
    powers = project("exec", "-T", "agenthost", "env")
    assert "POSTGRES_PASSWORD" not in powers
    assert "AGENTHOST_OWNER_PASSWORD" not in powers
    assert "AGENTHOST_MIGRATE_URL" not in powers
    assert query(project, OWNERS) == "agenthost_owner|f|f"
