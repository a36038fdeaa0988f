"""The version of the restricted language, computed, so that nobody can forget to change it."""

import hashlib
import sys
from importlib.metadata import version as installed_version
from pathlib import Path


def _policy_version() -> str:
    """Changes with any line of this package, RestrictedPython or Python, so that no cached code outlives its policy."""
    digest = hashlib.sha256(f"{installed_version('RestrictedPython')} {sys.version}".encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


POLICY_VERSION = _policy_version()
