"""The emulator's own paths, /_emulator/…: who may ask, what is asked, and the answers."""
