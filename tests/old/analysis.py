"""A project as its owner has it."""

from dataclasses import dataclass

import offload


@dataclass(frozen=True, slots=True)
class Circle:
    radius: float


@offload.task
def area(circle: Circle) -> float:
    return 3.0 * circle.radius**2


@offload.task
def grown(circle: Circle) -> Circle:
    return Circle(circle.radius + 1)


@offload.task
def halves(path: offload.File) -> list[Circle]:
    return [Circle(float(line) / 2) for line in open(path).read().split()]


if __name__ == "__main__":
    import sys
    from pathlib import Path

    Path("radii.txt").write_text("1\n2\n")
    print(area(Circle(2.0)), grown(Circle(1.0)), halves(offload.File("radii.txt")), file=sys.stderr)
