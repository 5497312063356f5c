"""A child process of the demo, seen from the demo."""

from __future__ import annotations

import asyncio
import signal
import sys

from holdfast import HoldfastError


class ChildFailed(HoldfastError):
    """A process of the demo ended by itself with an error."""

    code = "demo_child_failed"
    remedy = "Mend what it says above and run the demo again: it goes on where it stopped."


class Child:
    """A process that does a part of the demo."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process
        self._killed = False
        assert process.stderr is not None
        self._complaint = asyncio.create_task(process.stderr.read())

    @classmethod
    async def start(cls, name: str, *args: str, holding: int) -> Child:
        """Start `holdfast.cli.demo.<name>`.

        It gets a session of its own, so that Ctrl-C reaches the demo alone, and -P, so that no file of the folder it is
        started in is taken for a module. It inherits the handle `holding`, and so holds the demo's lock while it lives.
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            f"holdfast.cli.demo.{name}",
            *args,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            pass_fds=(holding,),
        )
        return cls(name, process)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    async def is_at_work(self) -> None:
        """Wait until it is in the midst of its work, or has ended well because there was none."""
        assert self._process.stdout is not None
        await self._process.stdout.readline()

    def allow(self, files: int) -> None:
        """Let it commit up to so many files."""
        assert self._process.stdin is not None
        if self._process.returncode is None:
            self._process.stdin.write(f"{files}\n".encode())

    async def ended(self) -> None:
        """Wait until it has ended by itself. Raises ChildFailed unless that went well."""
        code = await self._process.wait()
        if code != 0:
            complaint = (await self._complaint).decode(errors="replace").strip()
            raise ChildFailed(f"the {self.name} ended with {code}: {complaint}", exit_code=code)

    async def failure(self) -> None:
        """Wait until it has ended; raises ChildFailed if it failed and was not killed from here."""
        await self._process.wait()
        if not self._killed:
            await self.ended()

    async def kill(self) -> bool:
        """SIGKILL it; True if it was running, and so died of that and nothing else."""
        if self._process.returncode is None:
            self._killed = True
            self._process.kill()
        return await self._process.wait() == -signal.SIGKILL

    async def dispose(self) -> None:
        """End it, however far it is, and let go of its pipes."""
        await self.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._complaint
