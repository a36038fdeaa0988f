"""Requests made up from the OpenAPI document: none is answered with a 500, or with what the document does not say."""

import asyncio
import json
import sys
from pathlib import Path

from tests.service.conftest import LocalHost

ST = Path(sys.executable).with_name("st")
CHECKS = "status_code_conformance,content_type_conformance,response_schema_conformance"
EXAMPLES = 20


async def test_no_request_made_up_from_the_document_is_a_mistake_of_the_host(
    local_host: LocalHost, tmp_path: Path
) -> None:
    async with local_host.user() as user:
        process = await asyncio.create_subprocess_exec(
            *(ST, "run", f"{local_host.url}/openapi.json"),
            *("--header", f"Authorization: Bearer {user.caller.token}"),
            *("--checks", CHECKS, "--max-examples", str(EXAMPLES), "--seed", "1", "--no-color"),
            *("--report", "har", "--report-har-path", str(tmp_path / "sent.har")),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(300):
            said, _ = await process.communicate()
    sent = json.loads((tmp_path / "sent.har").read_text())["log"]["entries"]
    statuses = [entry["response"]["status"] for entry in sent]
    assert len(statuses) > 300
    assert 500 not in statuses
    assert {200, 401, 422} <= set(statuses)
    assert process.returncode == 0, said.decode(errors="replace")[-10_000:]
