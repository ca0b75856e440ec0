"""Projects as people have them, edited and run as their owners would."""

import pytest

pytest.register_assert_rewrite(*(f"tests.everyday.{name}" for name in ("notebook", "owner", "pipeline", "vendored")))
