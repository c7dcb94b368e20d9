"""Makes postcards: asks one gateway, then another, and keeps only pictures that are whole."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import httpx
from openai import APIConnectionError, BadRequestError, InternalServerError, OpenAI, RateLimitError
from PIL import Image


class Unsuitable(Exception):
    """A text that no gateway will draw; asking again would not help."""


class NoPicture(Exception):
    """Every gateway was asked, and none had a picture."""


class Postcards:
    """A shop for postcards. The clients are asked in their order; each tries again by itself, as the SDK does."""

    def __init__(self, clients: Sequence[OpenAI], folder: Path) -> None:
        self.clients, self.folder = clients, folder

    def make(self, text: str) -> Path:
        """The file of a new postcard."""
        for client in self.clients:
            try:
                return self._keep(text, self._drawn(client, text))
            except BadRequestError as error:
                if error.code in ("content_policy_violation", "moderation_blocked"):
                    raise Unsuitable(text) from error
                raise
            except (RateLimitError, InternalServerError, APIConnectionError, OSError):
                continue  # the next gateway may do better
        raise NoPicture(text)

    def _drawn(self, client: OpenAI, text: str) -> bytes:
        response = client.images.generate(model="dall-e-3", prompt=f"A postcard: {text}", size="1792x1024")
        if not response.data:
            raise OSError("a reply without a picture")
        picture = response.data[0]
        if picture.b64_json:
            return base64.b64decode(picture.b64_json)
        answer = httpx.get(picture.url or "", timeout=30)
        if answer.status_code != 200:
            raise OSError(f"the picture is gone: {answer.status_code}")
        return answer.content

    def _keep(self, text: str, data: bytes) -> Path:
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()  # raises OSError where the picture is cut
            if picture.size != (1792, 1024):
                raise OSError(f"asked for 1792x1024, came {picture.size}")
        path = self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}.png"
        path.write_bytes(data)
        return path
