# SPDX-License-Identifier: BSD-3-Clause
"""Where the checks run: which QEMU, which server, which folder, how long."""
import os
import re
import shutil
import subprocess
import tempfile
import time

from report import CouldNot

OLDEST = (10, 1)  # the first QEMU that is a client
HERE = os.path.dirname(os.path.abspath(__file__))


def version_of(command):
    """(major, minor) of a QEMU that knows vfio-user, None of any other."""
    try:
        text = subprocess.run(command + ["--version"], capture_output=True, text=True,
                              check=True, timeout=60).stdout
        devices = subprocess.run(command + ["-device", "help"], capture_output=True,
                                 text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"version (\d+)\.(\d+)", text)
    if not found or '"vfio-user-pci"' not in devices:
        return None
    version = (int(found[1]), int(found[2]))
    return version if version >= OLDEST else None


class Place:
    """root is what QEMU sees as "/"; paths given to it are seen() ones."""

    def __init__(self, root, vfuctl, seed, seconds, save):
        self.top = root
        self.vfuctl = vfuctl
        self.seed = seed
        self.end_time = time.monotonic() + seconds
        self.save = save
        self.root = ""
        self.qemu = self.version = None
        self.why_not = ""
        self.folder = None
        self.running = []  # what the check that runs has started
        self.name = ""
        self.kept = {}  # what one check leaves for those after it

    def left(self):
        return self.end_time - time.monotonic()

    def find_qemu(self):
        """The system's if it is new enough, else that of a Debian of its own."""
        system = ["qemu-system-x86_64"]
        version = version_of(system)
        if version:
            self.qemu = system
        else:
            made = subprocess.run([os.path.join(HERE, "root.sh"), self.top],
                                  stderr=subprocess.PIPE, text=True, timeout=None,
                                  check=False, env=dict(os.environ, SECONDS_LEFT=str(
                                      max(1, int(self.left())))))
            if made.returncode != 0:
                self.why_not = (made.stderr.strip().splitlines() or ["root.sh failed"])[-1]
                return None
            self.root = os.path.join(os.path.abspath(self.top), "sid")
            self.qemu = ["chroot", self.root] + system
            version = version_of(self.qemu)
            if not version:
                self.why_not = "the QEMU in " + self.root + " does not run"
                return None
        self.version = version
        base = os.path.join(self.root, "tmp") if self.root else None
        self.folder = tempfile.mkdtemp(prefix="vfuctl-", dir=base)
        return version

    def seen(self, path):
        """A path as QEMU sees it."""
        return path[len(self.root):]

    def path(self, name):
        return os.path.join(self.folder, name)

    def begin(self, name):
        self.name = name
        if not self.qemu:
            raise CouldNot(self.why_not)
        if self.left() < 5:
            raise CouldNot("there is not enough time")

    def logs(self):
        """What the programs of this check said, for one that failed."""
        lines = []
        for thing in self.running:
            try:
                with open(thing.log, errors="replace") as f:
                    text = f.read()[-4000:]
            except OSError:
                continue
            lines += [f"{thing.what}: {line}" for line in text.splitlines()]
        return "\n".join(lines)

    def end(self):
        for thing in reversed(self.running):
            thing.kill()
        self.running = []
        if self.folder:
            for name in os.listdir(self.folder):
                os.unlink(self.path(name))

    def close(self):
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
