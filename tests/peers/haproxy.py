"""Debian's HAProxy, with the configuration of docs/deploy.md, as a process of its own on a free port of loopback."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.docs.document import ROOT, blocks

START_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Balancer:
    """Its address; the certificate there is of its own making."""

    address: str


def documented_configuration() -> str:
    [block] = [block for block in blocks(ROOT / "docs" / "deploy.md") if block.language == "haproxy"]
    return block.text


@asynccontextmanager
async def balancing(directory: Path, *replicas: str) -> AsyncIterator[Balancer]:
    """The documented configuration in front of two replicas, `host:port` each."""
    program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("haproxy is not installed: apt-get install haproxy")
    certificate = directory / "agenthost.pem"
    certificate.write_bytes(_certificate())
    port = free_port()
    configuration = _replaced(
        documented_configuration(),
        {
            "bind :443 ": f"bind 127.0.0.1:{port} ",
            "/etc/haproxy/agenthost.pem": str(certificate),
            "10.0.0.11:8000": replicas[0],
            "10.0.0.12:8000": replicas[1],
        },
    )
    file = directory / "haproxy.cfg"
    file.write_text(configuration)
    with (directory / "haproxy.log").open("wb") as output:
        process = await asyncio.create_subprocess_exec(program, "-db", "-f", file, stdout=output, stderr=output)
    try:
        balancer = Balancer(f"https://127.0.0.1:{port}")
        assert await _answers(balancer), (directory / "haproxy.log").read_text()
        yield balancer
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _replaced(text: str, changes: Mapping[str, str]) -> str:
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


async def _answers(balancer: Balancer) -> bool:
    """Whether it does, before long."""
    async with httpx.AsyncClient(base_url=balancer.address, verify=False) as http:
        for _ in range(START_SECONDS * 10):
            try:
                if (await http.get("/ready")).status_code == 200:
                    return True
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.1)
    return False


def _certificate() -> bytes:
    """A key and a certificate, as one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "agenthost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)
