"""The process that guests are forked from: the language preloaded, jailed itself, never running a tenant's byte.

host -> stub -> zygote (PID 1 of its namespace) -> children. Started as `python -I -m sandbox.restricted.zygote FD
OPTIONS`, it speaks JSON datagrams with the host over FD (SOCK_SEQPACKET):

to the zygote    {"fork": n, "filter": bool}, {"kill": pid}, {"bare": true} (fork-exit-wait, for measuring)
from the zygote  {"ready": version, ...}, {"failed": layer, "message": ...}, {"parked": pid, "filter": bool} with
                 its socket and a pidfd, {"unforked": true, "filter": bool} where there is no room for one,
                 {"exited": pid, "status": ..., "cpu_ms": ..., "max_rss_bytes": ...}, {"bare": true}

A child's own socket carries `wire.HEADER`, then frames (sandbox/wire.py).
"""

import gc
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from sandbox import wire
from sandbox.bpf import Filter
from sandbox.guest.channel import Channel
from sandbox.guest.language import Language, PlainLanguage
from sandbox.guest.rehearsal import rehearsal
from sandbox.guest.serve import Guest
from sandbox.restricted import jail
from sandbox.restricted.seccomp import allow_list

REHEARSALS = 20
"""Of the zygote itself: so many that Python has specialized the code they go through."""

EXIT_BROKEN = 95
"""A child ends so when its own trusted code fails: before the job, or in telling its end."""


class Zygote:
    """The loop, and what it needs: set up by `main` in the order of `jail.LAYERS`."""

    def __init__(self, control: socket.socket, language: Language, without: frozenset[str], weaker: bool) -> None:
        self.control = control
        self.language = language
        self.without = without
        self.weaker = weaker
        self.in_force: list[str] = []
        self.missing: list[str] = []
        self.base_bytes = 0
        self.rules: int | None = None
        self.filter: Filter | None = None
        self.rehearse = rehearsal(language)
        self.channel = Channel(0)
        self.guest = Guest(self.channel, language)  # its namespace is made once; what a run does to it stays in a child
        self.children: dict[int, int] = {}
        self.poll = select.poll()

    def layer(self, name: str, put_up: Callable[[], Any]) -> Any:
        """Put one layer up. What cannot be had ends the zygote, unless the operator allowed less."""
        if name in self.without:
            self.missing.append(name)
            return None
        try:
            result = put_up()
        except (OSError, NotImplementedError) as error:
            if name not in jail.OPTIONAL_LAYERS and not self.weaker:
                self.tell({"failed": name, "message": str(error)})
                os._exit(1)
            self.missing.append(name)
            return None
        self.in_force.append(f"{name}:{result}" if isinstance(result, str) else name)
        return result

    def tell(self, message: dict[str, Any], *descriptors: int) -> None:
        socket.send_fds(self.control, [json.dumps(message).encode()], descriptors)

    def enter(self) -> None:
        """From an ordinary process to PID 1 of an empty world. The stub stays behind and never returns."""
        jail.volunteer_for_out_of_memory()
        self.layer("ids", jail.drop_ids)
        self.layer("namespaces", jail.enter_namespaces)
        alive, held = os.pipe()
        child = os.fork()
        if child:
            os.close(alive)
            jail.wait_outside(child, self.control.fileno())
        os.close(held)
        with open("/proc/self/statm") as statm:
            self.base_bytes = int(statm.read().split()[0]) * os.sysconf("SC_PAGESIZE")
        null = os.open("/dev/null", os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        os.close(null)
        self.layer("root", jail.empty_root)
        self.rules = self.layer("landlock", jail.landlock_rules)
        self.layer("capabilities", jail.drop_capabilities)
        jail.die_with_parent(alive)

    def prepare(self) -> None:
        """What each child puts up: the last three layers need nothing made ready, and a child that cannot put up one of
        them ends before it has read a tenant's byte. That they hold is for the self-test to say."""
        self.filter = self.layer("seccomp", allow_list)
        for name in ("descriptors", "limits", "timer"):
            self.layer(name, lambda: None)
        sys.stdin = sys.stdout = sys.stderr = None
        sys.path.clear()
        os.environ.clear()
        jail.default_signals()
        for _ in range(REHEARSALS):
            self.rehearse()
        gc.collect()
        gc.freeze()
        gc.disable()

    def loop(self) -> NoReturn:
        """Fork, reap, kill, as the host says; ends when the host does."""
        self.poll.register(self.control, select.POLLIN)
        self.tell(
            {
                "ready": self.language.version,
                "in_force": self.in_force,
                "missing": self.missing,
                "base_bytes": self.base_bytes,
            }
        )
        while True:
            for descriptor, _ in self.poll.poll():
                if descriptor != self.control.fileno():
                    self.reap(descriptor)
                else:
                    self.obey(self.control.recv(256))

    def obey(self, order: bytes) -> None:
        if not order:
            os._exit(0)  # the host is gone, and with PID 1 goes everything in here
        message = json.loads(order)
        if "fork" in message:
            for _ in range(message["fork"]):
                self.fork(message["filter"])
        elif "kill" in message:
            if message["kill"] in self.children.values():
                os.kill(message["kill"], signal.SIGKILL)
        elif "bare" in message:
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
            self.tell({"bare": True})

    def reap(self, descriptor: int) -> None:
        pid, status, usage = os.wait4(self.children.pop(descriptor), 0)
        self.poll.unregister(descriptor)
        os.close(descriptor)
        cpu_ms = (usage.ru_utime + usage.ru_stime) * 1000
        self.tell({"exited": pid, "status": status, "cpu_ms": cpu_ms, "max_rss_bytes": usage.ru_maxrss * 1024})

    def fork(self, filtered: bool) -> None:
        """One parked child, its socket sent to the host; or word that the machine has no room for one now."""
        try:
            outside, inside = socket.socketpair()
            with outside, inside:
                pid = os.fork()
                if pid == 0:
                    try:
                        self.child(inside.fileno(), filtered)
                    except BaseException:
                        os._exit(EXIT_BROKEN)
                    finally:
                        os._exit(0)  # nothing may ever unwind into the loop
                self.tell({"parked": pid, "filter": filtered}, outside.fileno(), self.watch(pid))
        except OSError:
            self.tell({"unforked": True, "filter": filtered})

    def watch(self, pid: int) -> int:
        """A pidfd of the child, by which its end is seen. A child that cannot be watched is not left behind."""
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        self.children[descriptor] = pid
        self.poll.register(descriptor, select.POLLIN)
        return descriptor

    def child(self, connection: int, filtered: bool) -> None:
        """Jail oneself, wait to be given a job, do it."""
        os.dup2(connection, 0)
        if "descriptors" not in self.without:
            jail.close_descriptors(self.rules)
        if self.rules is not None:
            jail.enforce_landlock(self.rules)
            os.close(self.rules)
        if "limits" not in self.without:
            jail.set_fixed_limits()
        gc.enable()
        jail.rehearse()
        self.rehearse()
        try:
            wall_seconds, cpu_seconds, memory_bytes = wire.HEADER.unpack(self.channel.read_exactly(wire.HEADER.size))
        except EOFError:
            return  # not wanted any more
        if "timer" not in self.without:
            jail.start_timer(wall_seconds)
        if "limits" not in self.without:
            jail.set_job_limits(self.base_bytes + memory_bytes, cpu_seconds)
        if filtered and self.filter is not None:
            jail.filter_system_calls(self.filter)
        self.guest.serve()
        self.channel.wait_for_the_end()  # so that the host can see what was used


def skip_thread_repair() -> None:
    """Let `threading` not register its hook for forks: it repairs locks of threads that a zygote never has, and costs
    each child a hundred page faults. Other modules' hooks (`random` takes a new seed) are registered as ever."""
    register = os.register_at_fork

    def register_others(**hooks: Any) -> None:
        if getattr(hooks.get("after_in_child"), "__module__", None) != "threading":
            register(**hooks)

    os.register_at_fork = register_others


def load_language(name: str) -> Language:
    """With everything it may need later: in the jail there is nothing to import from. The same for either language."""
    from sandbox.guest import check, probe
    from sandbox.restricted.policy import RestrictedLanguage

    del check, probe

    restricted = RestrictedLanguage()
    return PlainLanguage() if name == "plain" else restricted


def main() -> NoReturn:
    """argv: the control descriptor; options as JSON: language, without (layers), weaker."""
    options = json.loads(sys.argv[2])
    control = socket.socket(fileno=int(sys.argv[1]))
    skip_thread_repair()
    language = load_language(options["language"])
    zygote = Zygote(control, language, frozenset(options["without"]), bool(options["weaker"]))
    zygote.enter()
    zygote.prepare()
    zygote.loop()


if __name__ == "__main__":
    main()
