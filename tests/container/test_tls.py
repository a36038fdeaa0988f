"""A daemon on another machine: over TLS, with a certificate each way, or not at all."""

import asyncio
import datetime
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.container.engine import ContainerSettings
from tests.container.own_daemon import OwnDaemon, free_port, own_daemon
from tests.container.running import SLEEP, run, running, until
from tests.deploy.engine import base_image


class Authority:
    """Signs certificates, into files as Docker names them."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        self._certificate = self._signed(self._name, self._key, is_authority=True)

    def issue(self, directory: Path, usage: x509.ObjectIdentifier) -> None:
        directory.mkdir()
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, directory.name)])
        certificate = self._signed(name, key, usage=usage)
        pem = serialization.Encoding.PEM
        (directory / "ca.pem").write_bytes(self._certificate.public_bytes(pem))
        (directory / "cert.pem").write_bytes(certificate.public_bytes(pem))
        unsealed = serialization.NoEncryption()
        (directory / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, unsealed))

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *,
        is_authority: bool = False,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        addresses = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        building = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if not is_authority:
            building = building.add_extension(addresses, critical=False)
            building = building.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return building.sign(self._key, hashes.SHA256())


def settings_of(daemon: OwnDaemon, port: int, directory: Path, certificates: Path | None) -> ContainerSettings:
    return daemon.settings(directory, docker_host=f"tcp://127.0.0.1:{port}", certificates=certificates)


async def test_a_daemon_over_tls_works_and_believes_nobody_else(tmp_path: Path) -> None:
    authority, stranger = Authority(), Authority()
    authority.issue(tmp_path / "server", ExtendedKeyUsageOID.SERVER_AUTH)
    authority.issue(tmp_path / "client", ExtendedKeyUsageOID.CLIENT_AUTH)
    stranger.issue(tmp_path / "stranger", ExtendedKeyUsageOID.CLIENT_AUTH)
    port, server = free_port(), tmp_path / "server"
    tls = f"--tlsverify --tlscacert={server}/ca.pem --tlscert={server}/cert.pem --tlskey={server}/key.pem"
    with own_daemon(f"--host=tcp://127.0.0.1:{port}", *tls.split()) as daemon:
        await asyncio.to_thread(daemon.load, base_image())
        async with running(settings_of(daemon, port, tmp_path, tmp_path / "client")) as engine:
            assert (await run(engine)).status == "succeeded"
            long = "def run():\n    for _ in range(200):\n        print('x' * 1000)\n    return 'y' * 900_000\n"
            outcome = await run(engine, long)
            assert (len(outcome.logs), len(outcome.output)) == (200, 900_000)
            sleeping = asyncio.create_task(run(engine, SLEEP))
            await asyncio.sleep(1)
            sleeping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sleeping
            ends = await asyncio.gather(*(run(engine) for _ in range(4)))
            assert {end.status for end in ends} == {"succeeded"}
            await until(lambda: len(daemon.containers()) == 2)
        assert daemon.containers() == []
        for certificates in (tmp_path / "stranger", tmp_path / "none", None):
            async with running(settings_of(daemon, port, tmp_path, certificates)) as engine:
                assert not engine.status().ready
