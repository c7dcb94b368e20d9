"""Image API Emulator: a local stand-in for OpenAI-compatible image-generation gateways.

- `Emulator` runs one in this process, `ImageApi` is a session on one that runs elsewhere, and `EmulatorError` is raised
  when either cannot do what was asked.
- `inspect` reads what is known of a picture file from its bytes.
- All other names are the types of what these return and take.

Importing `emulator` loads nothing else; each name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulator.client.api import ImageApi, SupportsSetenv
    from emulator.client.calls import Calls, SessionClock
    from emulator.client.connection import EmulatorError, ScenarioSource
    from emulator.client.embedded import Emulator, EmulatorSettings
    from emulator.client.expectations import (
        CallFields,
        Expectation,
        Matchers,
        ServerHealth,
        ServerSettings,
        SessionSettings,
        SettingsChanges,
    )
    from emulator.client.portability import Portability
    from emulator.client.records import (
        Fit,
        GatewayOutcomes,
        PictureOrigin,
        RecordedCall,
        RecordedEvent,
        RecordedFinding,
        RecordedMiss,
        RecordedPicture,
        RecordedRefusal,
        RecordedResponse,
        RecordedTry,
        RecordedUpload,
    )
    from emulator.image.inspect import Inspection

__all__ = [
    "CallFields",
    "Calls",
    "Emulator",
    "EmulatorError",
    "EmulatorSettings",
    "Expectation",
    "Fit",
    "GatewayOutcomes",
    "ImageApi",
    "Inspection",
    "Matchers",
    "PictureOrigin",
    "Portability",
    "RecordedCall",
    "RecordedEvent",
    "RecordedFinding",
    "RecordedMiss",
    "RecordedPicture",
    "RecordedRefusal",
    "RecordedResponse",
    "RecordedTry",
    "RecordedUpload",
    "ScenarioSource",
    "ServerHealth",
    "ServerSettings",
    "SessionClock",
    "SessionSettings",
    "SettingsChanges",
    "SupportsSetenv",
    "inspect",
]


def inspect(data: bytes) -> Inspection:
    """What is known of the picture file `data` and of its label; raises ValueError if it is no picture.

    >>> inspect(b"not a picture")
    Traceback (most recent call last):
    ...
    ValueError: not a PNG, JPEG or WebP picture
    """
    from emulator.image.inspect import inspect_image

    return inspect_image(data)


if not TYPE_CHECKING:  # a type checker takes the names from the imports above, and so finds a misspelled one
    _MODULES = {
        "emulator.client.api": ("ImageApi", "SupportsSetenv"),
        "emulator.client.calls": ("Calls", "SessionClock"),
        "emulator.client.connection": ("EmulatorError", "ScenarioSource"),
        "emulator.client.embedded": ("Emulator", "EmulatorSettings"),
        "emulator.client.expectations": (
            "CallFields",
            "Expectation",
            "Matchers",
            "ServerHealth",
            "ServerSettings",
            "SessionSettings",
            "SettingsChanges",
        ),
        "emulator.client.portability": ("Portability",),
        "emulator.client.records": (
            "Fit",
            "GatewayOutcomes",
            "PictureOrigin",
            "RecordedCall",
            "RecordedEvent",
            "RecordedFinding",
            "RecordedMiss",
            "RecordedPicture",
            "RecordedRefusal",
            "RecordedResponse",
            "RecordedTry",
            "RecordedUpload",
        ),
        "emulator.image.inspect": ("Inspection",),
    }

    def __getattr__(name: str) -> Any:
        """One of the names above, loaded when it is first used."""
        from importlib import import_module

        for module, public_names in _MODULES.items():
            if name in public_names:
                globals()[name] = getattr(import_module(module), name)  # so that this is not asked again
                return globals()[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
