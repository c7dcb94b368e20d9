"""`python -m emulator` is the command `image-api-emulator`."""

from emulator.cli import main

raise SystemExit(main())
