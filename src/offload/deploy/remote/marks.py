"""What tells the lines of our own program on another machine from those that its login shell prints."""

from __future__ import annotations

ANSWER, STEP = "offload-answer:", "offload-step:"
