"""Where the local authority is kept that signs the certificates of HTTPS, and which file of it clients trust."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

AUTHORITY: Final = "ca.pem"
"""The file with the authority's certificate, which clients need."""
AUTHORITY_KEY: Final = "ca-key.pem"
"""The file with the authority's key and certificate, which nobody but the server reads."""
TRUST_VARIABLES: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""The variables in which clients look for authorities: Python, curl, Go and Ruby; requests; Node."""


def find_tls_folder(
    setting: str | None = None, environ: Mapping[str, str] = os.environ, platform: str = sys.platform
) -> Path | None:
    """Return the folder `setting`, else our folder where a platform keeps a user's data; None where that is unknown.

    It is no folder for caches: whoever empties that would have to trust another authority afterwards.
    """
    if setting is not None:
        return Path(setting).absolute()
    if platform == "win32":
        found = environ.get("LOCALAPPDATA", "")
    elif platform == "darwin":
        found = os.path.join(environ.get("HOME", ""), "Library", "Application Support")
    else:
        found = environ.get("XDG_DATA_HOME", "")
        if not os.path.isabs(found):  # the specification says so
            found = os.path.join(environ.get("HOME", ""), ".local", "share")
    if not os.path.isabs(found):
        return None
    return Path(found, "image-api-emulator", "tls")
