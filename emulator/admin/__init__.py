"""The emulator's own paths, /_emulator/…: who may use them, how requests are validated, and the answers."""
