"""The version of this package."""

from __future__ import annotations

from functools import cache


@cache
def read_version() -> str:
    """Return the version of this package, or `unknown`; its file is read once, since health is asked often."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("image-api-emulator")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"
