"""What an operator says of the container engine: whether there is one, and which Docker daemon has its containers.

Who can speak to a daemon is root on its machine: what is not protected on the way there is refused.
"""

from ipaddress import ip_address
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, BaseModel, Field, model_validator


class ContainerPoolSettings(BaseModel):
    """The part of Settings that containers need."""

    container_pool: int = Field(
        default=0,
        validation_alias=AliasChoices("AGENTHOST_CONTAINER_POOL"),
        description="Containers kept waiting for agents with the engine 'container'; 0: this host has no such engine.",
        ge=0,
        le=256,
    )
    container_runtime: str | None = Field(
        default=None,
        validation_alias=AliasChoices("AGENTHOST_CONTAINER_RUNTIME"),
        description="Runtime of these containers, as the Docker daemon knows it. gVisor's name begins with 'runsc'; "
        "any other one has to show every layer.",
    )
    container_base_image: str = Field(
        default="python:3.13-slim-trixie",
        validation_alias=AliasChoices("AGENTHOST_CONTAINER_BASE_IMAGE"),
        description="What the image of these containers is built on: any image with Python 3.12 or newer.",
    )
    docker_host: str = Field(
        default="unix:///var/run/docker.sock",
        validation_alias=AliasChoices("DOCKER_HOST"),
        description="The Docker daemon: unix:///path, or tcp://host:2376 with DOCKER_CERT_PATH.",
    )
    docker_cert_path: Path | None = Field(
        default=None,
        validation_alias=AliasChoices("DOCKER_CERT_PATH"),
        description="Directory of ca.pem, cert.pem and key.pem, for a daemon that is spoken to over TLS.",
    )

    @model_validator(mode="after")
    def _daemon_is_reached_safely(self) -> Self:
        """DOCKER_HOST is other programs' setting too: without a pool it is not looked at."""
        if self.container_pool and not self.docker_host.startswith("unix:///"):
            host = _tcp_host(self.docker_host)
            if host is None:
                raise ValueError("DOCKER_HOST: should be unix:///path or tcp://host:port")
            if self.docker_cert_path is None and not _is_this_machine(host):
                raise ValueError(
                    "DOCKER_CERT_PATH: should be set, since DOCKER_HOST is another machine: "
                    "who reads or changes what is said to a Docker daemon is root there"
                )
        return self


def _tcp_host(address: str) -> str | None:
    try:
        parts = urlsplit(address)
        return parts.hostname if parts.scheme == "tcp" and parts.port and parts.path in ("", "/") else None
    except ValueError:
        return None


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
