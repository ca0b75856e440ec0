"""``python -m offload``: the same as the command ``offload``."""

import sys

from offload.cli.main import main

sys.exit(main())
