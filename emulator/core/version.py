"""The version of this package; the wheel takes its own from here.

It is a constant because `importlib.metadata`, which would read it from the installed package, takes 40 ms to import.
"""

VERSION = "0.1.0"
