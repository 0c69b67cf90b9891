# SPDX-License-Identifier: BSD-3-Clause
"""The list of checks, and a line for each: ok, not ok, or could not."""
import time
import traceback


class Failed(Exception):
    """What a check found wrong."""


class CouldNot(Exception):
    """Why a check cannot be made here; no fault of what is tested."""


CHECKS = []  # (group, name, function), in the order of their definition


def check(group, name):
    """Adds the decorated function, which takes the Place, to the list."""
    def add(function):
        CHECKS.append((group, name, function))
        return function
    return add


def equal(what, got, wanted):
    if got != wanted:
        show = "{:#x}".format if isinstance(wanted, int) else repr
        shown = show(got) if isinstance(got, int) else repr(got)
        raise Failed(f"{what}: {shown}, not {show(wanted)}")


def true(what, holds):
    if not holds:
        raise Failed(what)


def until(what, holds, seconds=10.0):
    """Asks again until holds() is true, and returns what it said."""
    end = time.monotonic() + seconds
    while True:
        value = holds()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"waited {seconds:g} s in vain: {what}")
        time.sleep(0.002)


class Report:
    def __init__(self):
        self.passed = self.failed = self.impossible = 0

    def passes(self, name, seconds):
        self.passed += 1
        print(f"ok - {name} ({seconds:.1f} s)", flush=True)

    def fails(self, name, why):
        self.failed += 1
        print(f"not ok - {name}", flush=True)
        for line in why.rstrip().splitlines():
            print(f"    {line}", flush=True)

    def could_not(self, name, why):
        self.impossible += 1
        print(f"could not - {name}: {why}", flush=True)

    def run(self, name, function, place):
        began = time.monotonic()
        try:
            place.begin(name)
            function(place)
            self.passes(name, time.monotonic() - began)
        except CouldNot as e:
            self.could_not(name, str(e))
        except Failed as e:
            self.fails(name, f"{e}\n{place.logs()}")
        except Exception:  # QEMU or the server died under the check: say where
            self.fails(name, f"{traceback.format_exc()}\n{place.logs()}")
        finally:
            place.end()

    def close(self):
        print(f"{self.passed} passed, {self.failed} failed, "
              f"{self.impossible} not possible", flush=True)
        return 1 if self.failed else 0
