"""Where installed packages are, found without `importlib.metadata` or `.resources`: what a zygote imports, each of its
forks pays for."""

import importlib.util


def directory_of(package: str) -> str:
    """The directory of an installed package. ModuleNotFoundError when there is none."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the package {package} is not installed")
    return spec.submodule_search_locations[0]
