"""A parameter sweep: which support vector machine reads handwritten digits best?

Run it twice: the second time every score is recalled, also from another process.

    python examples/sweep.py
"""

from __future__ import annotations

import sys
import time

from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.svm import SVC

import offload

GAMMAS = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3)
CS = (0.1, 1.0, 3.0, 10.0, 30.0)

images, labels = load_digits(return_X_y=True)


@offload.task
def score(gamma: float, c: float) -> float:
    """Mean accuracy over five folds of the 1797 digits."""
    return float(cross_val_score(SVC(gamma=gamma, C=c), images, labels, cv=5).mean())


def main() -> None:
    grid = [(gamma, c) for gamma in GAMMAS for c in CS]
    start = time.perf_counter()
    futures = score.map([gamma for gamma, _ in grid], [c for _, c in grid])
    scores = offload.gather(futures, progress=True)
    seconds = time.perf_counter() - start

    best = max(range(len(grid)), key=scores.__getitem__)
    gamma, c = grid[best]
    print(f"best of {len(grid)}: gamma={gamma:g} C={c:g} reads {scores[best]:.2%} of the digits right")
    recalled = sum(1 for future in futures if future.recalled)
    print(f"{recalled} of {len(grid)} scores recalled, the rest computed, in {seconds:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
