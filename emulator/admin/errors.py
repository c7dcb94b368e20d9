"""The error of the emulator's own paths: a request that cannot be answered."""

from __future__ import annotations


class AdminError(Exception):
    """A request that cannot be answered: `status` and a text of one line; `param` is the name that is wrong.

    `allow` lists the methods that the path has, where the method is what is wrong.
    """

    def __init__(self, status: int, message: str, param: str | None = None, allow: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.allow = allow
