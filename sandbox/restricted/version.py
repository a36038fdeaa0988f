"""The version of the restricted language, computed, so that nobody can forget to change it."""

import hashlib
import os
import sys

from sandbox.restricted.packages import directory_of


def _policy_version() -> str:
    """Changes with any line of this package, RestrictedPython or Python, so that no cached code outlives its policy."""
    digest = hashlib.sha256(sys.version.encode())
    for directory in (os.path.dirname(__file__), directory_of("RestrictedPython")):
        for name in sorted(name for name in os.listdir(directory) if name.endswith(".py")):
            with open(os.path.join(directory, name), "rb") as file:
                digest.update(name.encode() + b"\0" + file.read() + b"\0")
    return digest.hexdigest()[:16]


POLICY_VERSION = _policy_version()
