"""`python -m emulator` is the command `image-api-emulator`."""

from emulator.cli.main import main

raise SystemExit(main())
