# SPDX-License-Identifier: BSD-3-Clause
"""The programs: our server, and a QEMU with its QMP and qtest connections."""
import json
import os
import re
import signal
import socket
import subprocess
import time

from report import CouldNot, Failed, until

RAM = 64 << 20


class Program:
    """Something started, whose standard error goes to a file."""

    def __init__(self, place, what, log, command):
        self.what = what
        self.log = place.path(log)
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=out)
        place.running.append(self)

    def wait(self, seconds=10):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired as e:
            raise Failed(f"{self.what} does not end") from e

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def said(self):
        with open(self.log, errors="replace") as f:
            return f.read()


class Server(Program):
    """vfuctl serve. Its trace tells what QEMU really asked."""

    def __init__(self, place, device="edu", name="server"):
        self.path = place.path(name + ".sock")
        self.seen = place.seen(self.path)
        self.trace_path = place.path(name + ".jsonl")
        self.place = place
        super().__init__(place, name, name + ".log",
                         [place.vfuctl, "--trace=" + self.trace_path, "serve",
                          "--socket-path=" + self.path, "--device=" + device])
        until("the server's socket", lambda: os.path.exists(self.path) or self.gone(device))

    def gone(self, device):
        if self.process.poll() is None:
            return False
        said = self.said()
        if "there is no device" in said:
            raise CouldNot(f"the server has no device {device}")
        raise Failed("the server ended: " + said)

    def stop(self):
        """Ends it; sanitizers make that fail when it leaked."""
        self.process.send_signal(signal.SIGTERM)
        status = self.wait()
        if status != 0:
            raise Failed(f"the server ended with {status}: {self.said()}")
        return self.trace()

    def trace(self):
        """All its messages; complete once it has stopped."""
        with open(self.trace_path) as f:
            return [json.loads(line) for line in f if line.endswith("\n")]

    def clients(self):
        """How many connections it has, as the system sees it."""
        with open("/proc/net/unix") as f:
            lines = [line.split() for line in f]
        return sum(len(w) == 8 and w[7] == self.path and w[5] == "03" for w in lines)

    def keep(self, name):
        """Keeps the trace in the folder of --save: seconds, direction, fds, bytes."""
        if not self.place.save:
            return
        os.makedirs(self.place.save, exist_ok=True)
        start = None
        name = "qemu-{}.{}-client_vfuctl-{}.txt".format(*self.place.version, name)
        with open(os.path.join(self.place.save, name), "w") as out:
            for m in self.trace():
                start = m["time"] if start is None else start
                out.write(f"{m['time'] - start:.6f} {m['direction']} {m['fds']} "
                          f"{m['bytes']}\n")


def user_device(server, **properties):
    """The argument of -device for a client of the server."""
    return json.dumps({"driver": "vfio-user-pci",
                       "socket": {"type": "unix", "path": server.seen}, **properties})


def memory(kind, size=RAM):
    """Guest memory: "fd" comes to the server as a descriptor, "plain" by messages only."""
    ram = f"memory-backend-ram,id=ram,size={size}"
    if kind == "fd":
        ram = f"memory-backend-memfd,id=ram,size={size},share=on"
    return ["-m", str(size >> 20), "-object", ram, "-machine", "memory-backend=ram"]


class Lines:
    """A connection of lines that QEMU makes to us."""

    def __init__(self, place, name):
        self.path = place.path(name)
        self.listener = socket.socket(socket.AF_UNIX)
        if os.path.exists(self.path):  # an earlier machine's
            os.unlink(self.path)
        self.listener.bind(self.path)
        self.listener.listen(1)
        self.listener.settimeout(0.1)
        self.connection = self.stream = None

    def accept(self, qemu):
        end = time.monotonic() + 60
        while True:
            try:
                self.connection, _ = self.listener.accept()
                break
            except socket.timeout:
                if qemu.process.poll() is not None:
                    raise Failed(f"QEMU ended with {qemu.process.returncode}") from None
                if time.monotonic() > end:
                    raise Failed("QEMU does not connect") from None
        self.listener.close()
        self.connection.settimeout(60)
        # For reading alone: one for both forgets what it has read when it writes.
        self.stream = self.connection.makefile("r", newline="\n")

    def send(self, line):
        self.connection.sendall(line.encode() + b"\n")

    def receive(self):
        line = self.stream.readline()
        if not line:
            raise Failed("QEMU closed the connection")
        return line.strip()

    def close(self):
        self.listener.close()
        if self.stream:
            self.stream.close()
            self.connection.close()


class Qemu(Program):
    """A machine "pc" without a firmware's doings under qtest, with accel="tcg" a real one."""

    def __init__(self, place, devices, accel="qtest", ram="fd", more=(), machine="pc",
                 size=RAM):
        self.place = place
        self.qmp_lines = Lines(place, "qmp.sock")
        self.qtest_lines = Lines(place, "qtest.sock") if accel == "qtest" else None
        command = list(place.qemu) + [
            "-machine", machine, "-accel", accel, "-display", "none", "-nodefaults",
            "-no-user-config", "-qmp", "unix:" + place.seen(self.qmp_lines.path)]
        if self.qtest_lines:
            command += ["-qtest", "unix:" + place.seen(self.qtest_lines.path),
                        "-qtest-log", "none"]
        command += memory(ram, size) + list(more)
        for device in devices:
            command += ["-device", device]
        super().__init__(place, "QEMU", "qemu.log", command)
        self.irqs = {}
        self.edges = []  # (number, raised) as they came
        # The qtest connection is made first, and waited for.
        if self.qtest_lines:
            self.qtest_lines.accept(self)
        self.qmp_lines.accept(self)
        self.qmp_lines.receive()  # the greeting
        self.qmp("qmp_capabilities")

    # ---- QMP ---------------------------------------------------------------------

    def qmp(self, command, **arguments):
        self.qmp_lines.send(json.dumps({"execute": command, "arguments": arguments}))
        while True:
            answer = json.loads(self.qmp_lines.receive())
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise Failed(f"QMP {command}: {answer['error']['desc']}")

    def hmp(self, line):
        return self.qmp("human-monitor-command", **{"command-line": line})

    def pci(self, slot):
        """What query-pci says of a device on the first bus, None without it."""
        for device in self.qmp("query-pci")[0]["devices"]:
            if device["slot"] == slot:
                return device
        return None

    def quit(self):
        self.qmp("quit")
        status = self.wait()
        if status != 0:
            raise Failed(f"QEMU ended with {status}")

    def kill(self):
        super().kill()
        for lines in (self.qmp_lines, self.qtest_lines):
            if lines:
                try:
                    lines.close()
                except OSError:
                    pass  # what it had not read yet

    # ---- qtest -------------------------------------------------------------------

    def ask(self, line):
        """A line of the qtest protocol; what comes after OK."""
        self.qtest_lines.send(line)
        while True:
            answer = self.qtest_lines.receive()
            irq = re.fullmatch(r"IRQ (raise|lower) (\d+)", answer)
            if irq:
                self.irqs[int(irq[2])] = irq[1] == "raise"
                self.edges.append((int(irq[2]), irq[1] == "raise"))
            elif answer == "OK" or answer.startswith("OK "):
                return answer[3:]
            else:
                raise Failed(f"qtest {line}: {answer}")

    def number(self, line):
        return int(self.ask(line), 0)

    def read(self, address, width=4):
        return self.number(f"read{'bwlq'[width.bit_length() - 1]} {address:#x}")

    def write(self, address, value, width=4):
        self.ask(f"write{'bwlq'[width.bit_length() - 1]} {address:#x} {value:#x}")

    def memory(self, address, size):
        return bytes.fromhex(self.ask(f"read {address:#x} {size:#x}")[2:])

    def fill(self, address, data):
        self.ask(f"write {address:#x} {len(data):#x} 0x{data.hex()}")

    def step(self, nanoseconds):
        self.ask(f"clock_step {nanoseconds}")

    def idle(self):
        """A question about nothing, that QEMU's main loop gets its turn."""
        self.ask("inb 0x80")
