"""What the project puts into libraries counts, and goes to workers with the functions that reach it."""

from __future__ import annotations

import pytest

from tests.compute.conftest import Script

MORE = """
import pandas as pd

FACTOR = 1
pd.MINE = 1

@pd.api.extensions.register_dataframe_accessor("geo")
class Geo:
    def __init__(self, frame):
        self.frame = frame
    def total(self):
        return int(self.frame["a"].sum()) * FACTOR

def total_(self):
    return self.geo.total() + pd.MINE
pd.DataFrame.total_ = total_
pd.DataFrame.limit_ = 5
"""
MAIN = """
import more
import offload
import pandas as pd

@offload.task
def all_of_it(frame):
    return frame.geo.total(), frame.total_(), frame.limit_, pd.MINE

if __name__ == "__main__":
    frame, other = pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [3]})
    print(all_of_it(frame), all_of_it.submit(other).result(60), offload.why(all_of_it, other).hit)
"""


@pytest.mark.real
def test_accessors_methods_and_values_in_libraries(script: Script) -> None:
    script.write("more.py", MORE)
    assert script.output(MAIN) == "(3, 4, 5, 1) (3, 4, 5, 1) True\n"
    script.write("more.py", MORE.replace("FACTOR = 1", "FACTOR = 10"))
    assert script.output(MAIN) == "(30, 31, 5, 1) (30, 31, 5, 1) True\n"
    script.write("more.py", MORE.replace("MINE = 1", "MINE = 2").replace("limit_ = 5", "limit_ = 6"))
    assert script.output(MAIN) == "(3, 5, 6, 2) (3, 5, 6, 2) True\n"
