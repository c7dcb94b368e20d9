"""The tests.

Python keeps what it has compiled, also where the environment says otherwise, as containers' often does: the tests start
some hundred processes, and each of them would compile the package again.
"""

import os
import sys

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
