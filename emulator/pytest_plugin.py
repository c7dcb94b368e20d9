"""The pytest plugin under its old name, for an editable install that is older than the new one."""

import sys

from emulator.plugin import image_api_emulator_pytest

sys.modules[__name__] = image_api_emulator_pytest
