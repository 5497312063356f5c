"""A parent process that has everything imported, no threads and no store, and forks children at 2 ms each.

    with Nursery() as nursery:
        ends = nursery.run(child("tests.crash.children:clients", path=…), kill_after_s=0.03)

A child calls one function with keyword arguments and ends; its exit code is 0, 1 if it raised (with the traceback on
stderr), or minus the signal that ended it. The parent lives in a process of its own because the test process has
threads, and a fork of such a one is unsound.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Self

PATIENCE_S = 30.0

PRELOAD = (
    *("asyncio", "holdfast.hold", "holdfast.backends.sqlite", "holdfast.backends.postgres"),
    *("holdfast.testing.workload", "tests.crash.children"),
)


def child(function: str, **arguments: Any) -> dict[str, Any]:
    """What one child is to do: `module:function`, and its arguments."""
    return {"function": function, "arguments": arguments}


class Nursery:
    """The parent process, seen from the test."""

    def __enter__(self) -> Self:
        root = Path(__file__).parents[2]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=root,
            env=environment,
            text=True,
        )
        return self

    def run(
        self,
        *children: dict[str, Any],
        kill_after_s: float | None = None,
        alive_when: str | None = None,
        enough: int | None = None,
    ) -> list[int]:
        """Fork these children, kill those that still run after that time, and return how each ended.

        The time counts from the moment the first byte of the file `alive_when` is no longer zero, where that is given.
        Without a time the others are killed once `enough` have ended.
        """
        request = {"children": children, "kill_after_s": kill_after_s, "alive_when": alive_when, "enough": enough}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def __exit__(self, *problem: object) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()


def main() -> None:
    """The parent process itself."""
    for name in PRELOAD:
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        pids = [_fork(one) for one in request["children"]]
        if request["kill_after_s"] is not None:
            _kill_later(pids, request["kill_after_s"], request["alive_when"])
        ends = _wait(pids, request["enough"] or len(pids))
        sys.stdout.write(json.dumps(ends) + "\n")
        sys.stdout.flush()


def _fork(one: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        module, _, name = one["function"].partition(":")
        getattr(importlib.import_module(module), name)(**one["arguments"])
        code = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(code)


def _kill_later(pids: list[int], after_s: float, alive_when: str | None) -> None:
    until = time.monotonic() + PATIENCE_S
    while alive_when is not None and not _is_alive(alive_when) and time.monotonic() < until:
        time.sleep(0.0005)
    time.sleep(after_s)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)  # a child that has ended is not waited for yet, so its pid is still its own


def _wait(pids: list[int], enough: int) -> list[int]:
    ends: dict[int, int] = {}
    while len(ends) < len(pids):
        if len(ends) == enough:
            for pid in pids:
                if pid not in ends:
                    os.kill(pid, signal.SIGKILL)
        pid, status = os.waitpid(-1, 0)
        ends[pid] = os.waitstatus_to_exitcode(status)
    return [ends[pid] for pid in pids]


def _is_alive(path: str) -> bool:
    try:
        return Path(path).read_bytes()[:1] not in (b"", b"\0")
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    main()
