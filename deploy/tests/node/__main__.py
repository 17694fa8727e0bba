"""Runs the tests that are named, or all, one after another, and prints how many seconds each took.

    python deploy/tests/node [test_pods test_helm.Helm.test_…]

METAGATE_NODE is the folder that deploy/node/archives.sh made; `make node-tests` makes it and sets that.
"""

import pathlib
import sys
import time
import unittest


class Result(unittest.TextTestResult):
    """Adds how long each test took. What a class needs, such as a node, starts before its first test, and is a line of its own."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.rows, self.started = [], None
        self.since = time.monotonic()

    def row(self, what):
        now = time.monotonic()
        self.rows.append((now - self.since, what))
        self.since = now

    def startTest(self, test):
        if self.started != type(test):
            self.started = type(test)
            self.row(f"{test.id().rpartition('.')[0]}: start")
        super().startTest(test)

    def stopTest(self, test):
        super().stopTest(test)
        self.row(test.id())


def main(names):
    loader = unittest.TestLoader()
    here = str(pathlib.Path(__file__).parent)
    tests = loader.loadTestsFromNames(names) if names else loader.discover(here)
    # A line as soon as it is written: a node takes a while.
    sys.stderr.reconfigure(line_buffering=True)
    result = unittest.TextTestRunner(verbosity=2, resultclass=Result).run(tests)
    print("\nseconds  test")
    for seconds, what in result.rows:
        print(f"{seconds:7.1f}  {what}")
    return not result.wasSuccessful()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
