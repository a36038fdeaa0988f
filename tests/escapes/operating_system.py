# ruff: noqa: E501 - a table: one entry a line
"""Family G: native code in the child, and the kernel in front of it. With the policy on nothing of this is even expressible."""

from tests.escapes.attack import CONTAINED, DENIED, KILLED, REFUSED, RETURNED, Attack, Ends, native
from tests.escapes.native import MACHINE, NUMBERS


def call(name: str, arguments: str, technique: str, source: str = "own", *, id: str = "") -> list[Attack]:
    """One system call by number that must not succeed. An empty list where the machine has no such call."""
    if name not in NUMBERS:
        return []
    text = native(f"""
        def run(hint: dict, services=None):
            spot = ctypes.create_string_buffer(4096)
            here = ctypes.addressof(spot)
            result = syscall({NUMBERS[name]}, {arguments})
            return "ESCAPED {name}" if result >= 0 else result
        """)
    return [
        Attack(id=f"os-{id or name.replace('_', '-')}", technique=technique, source=source, layer="jail", program=text,
               guarded=REFUSED, bare=CONTAINED)
    ]  # fmt: skip


def python(
    id: str, technique: str, source: str, body: str, *, bare: Ends = CONTAINED, imports: str = "import os"
) -> Attack:
    """Python of the standard library instead of numbers."""
    text = f"{imports}\ndef run(hint: dict, services=None):\n" + "".join(
        f"    {line}\n" for line in body.strip("\n").split("\n")
    )
    return Attack(
        id=f"os-{id}", technique=technique, source=source, layer="jail", program=text, guarded=REFUSED, bare=bare,
        limits={"cpu_seconds": 1, "wall_seconds": 2},
    )  # fmt: skip


def machine_code(id: str, technique: str, source: str, body: str, *, bare: Ends = CONTAINED) -> Attack:
    return Attack(
        id=f"os-{id}", technique=technique, source=source, layer="jail", program=native(body), guarded=REFUSED, bare=bare,
        limits={"cpu_seconds": 2, "wall_seconds": 3},
    )  # fmt: skip


AT_FDCWD = -100
KERNEL_DOORS = [
    *call(
        "io_uring_setup",
        "8, here",
        "io_uring opens and connects outside a filter of system calls",
        "closed by default in Docker",
    ),
    *call("io_setup", "8, here", "the older asynchronous input and output"),
    *call(
        "keyctl",
        "0, -3, 1",
        "kernel keyrings outlive the process and are shared by uid",
        "Docker, default seccomp profile",
    ),
    *call("add_key", "b'user', b'planted', b'x', 1, -3", "a key planted for the next tenant"),
    *call("request_key", "b'user', b'planted', 0, -3", "a key of another tenant's"),
    *call("userfaultfd", "1", "faults handled in user space: the lever of kernel races"),
    *call("perf_event_open", "here, 0, -1, -1, 0", "performance counters"),
    *call("bpf", "0, here, 64", "programs inside the kernel"),
    *call("seccomp", "0, 0, 0", "strict mode, or a filter of one's own"),
    *call("landlock_create_ruleset", "0, 0, 1", "the version of Landlock tells of the kernel"),
    *call("syslog", "3, here, 4096", "the kernel's log"),
    *call("kexec_load", "0, 0, 0, 0", "another kernel"),
    *call("init_module", "here, 10, b''", "a module for the kernel"),
    *call("reboot", "1, 2, 3, 0", "the machine restarts (with wrong magic numbers, to be safe)"),
    *call("personality", "0x0400000", "READ_IMPLIES_EXEC: readable memory becomes executable"),
    *call("modify_ldt", "0, here, 64", "segments of one's own"),
    *call("arch_prctl", "0x1001, here", "the FS and GS registers"),
    *call("iopl", "3", "input and output ports"),
    *call("uname", "here", "name and kernel of the machine"),
]
NAMESPACES = [
    *call("unshare", "0x10000000", "a user namespace, and all capabilities in it", "Docker, default seccomp profile"),
    *call("clone", "0x10000011, 0, 0, 0, 0", "clone with CLONE_NEWUSER"),
    *call("clone3", "here, 88", "clone3, whose flags no filter can read", "Docker, default seccomp profile"),
    *call("setns", "0, 0", "another namespace"),
    *call("mount", "b'x', b'/', b'tmpfs', 0, 0", "a file system over the root"),
    *call("umount2", "b'/', 2", "what the root covers"),
    *call("pivot_root", "b'.', b'.'", "another root"),
    *call("chroot", "b'.'", "a root inside the root, the old way out", "chroot(2)"),
    *call("fsopen", "b'tmpfs', 0", "the newer way to mount"),
    *call("open_tree", f"{AT_FDCWD}, b'/', 1", "a detached copy of a mount"),
    *call("move_mount", f"{AT_FDCWD}, b'/', {AT_FDCWD}, b'/', 0", "a mount moved away"),
    *call("capset", "here, here", "capabilities back"),
    *call("setuid", "0", "root again"),
]
FILES = [
    *call("open", "b'/', 0", "open, the old number", id="open-old-number"),
    *call("openat", f"{AT_FDCWD}, b'/', 0", "openat of the root itself"),
    *call("openat", f"{AT_FDCWD}, hint['file'].encode(), 0", "openat of a file that everybody may read", id="openat-flag"),
    *call("openat", f"{AT_FDCWD}, b'/proc/self/mem', 2", "one's own memory, writable past any protection", "CVE-2016-5195",
          id="openat-proc-mem"),
    *call("openat", f"{AT_FDCWD}, b'/proc/self/fd/0', 2", "one's own descriptors, opened anew", "CVE-2024-21626",
          id="openat-proc-fd"),
    *call("openat", f"{AT_FDCWD}, b'/dev/shm/' + hint['mark'].encode(), 0o101, 0o666", "a file in shared memory",
          id="openat-dev-shm"),
    *call("openat", f"{AT_FDCWD}, b'/tmp', 0o20200002, 0o666", "O_TMPFILE: a file without a name", id="openat-tmpfile"),
    *call("openat2", f"{AT_FDCWD}, b'/', here, 24", "openat2"),
    *call("creat", "b'/tmp/' + hint['mark'].encode(), 0o666", "creat, the oldest"),
    *call("mkdir", "b'/tmp/' + hint['mark'].encode(), 0o777", "a directory in /tmp"),
    *call("mkdir", "hint['mark'].encode(), 0o777", "a directory here: the first step of a chroot escape", id="mkdir-here"),
    *call("symlink", "b'/etc', hint['mark'].encode()", "a symbolic link", "Judge0 CVE-2024-28185"),
    *call("link", "hint['file'].encode(), b'/tmp/' + hint['mark'].encode()", "a hard link"),
    *call("mknod", "hint['mark'].encode(), 0o20666, 0x101", "a device: physical memory"),
    *call("rename", "hint['file'].encode(), b'/tmp/' + hint['mark'].encode()", "the file moved"),
    *call("truncate", "hint['file'].encode(), 0", "the file emptied"),
    *call("readlink", "b'/proc/self/exe', here, 4096", "the path of the program", "CVE-2019-5736"),
    *call("getcwd", "here, 4096", "where the process stands"),
    *call("chdir", "b'..'", "one directory up, out of a chroot"),
    *call("name_to_handle_at", f"{AT_FDCWD}, b'/', here, here + 1024, 0", "a handle of the root, for open_by_handle_at",
          "the shocker exploit of Docker"),
    *call("open_by_handle_at", f"{AT_FDCWD}, here, 0", "a guessed handle: inode 2 of the disk", "the shocker exploit of Docker"),
    *call("memfd_create", "b'x', 0", "a file in memory, to be executed"),
    *call("memfd_secret", "0", "memory that the kernel itself cannot see"),
    *call("inotify_init1", "0", "watching files"),
    *call("fanotify_init", "0, 0", "watching a whole file system"),
]  # fmt: skip
NETWORK = [
    *call("socket", "2, 1, 0", "a TCP socket"),
    *call("socket", "2, 2, 0", "a UDP socket, for a name server", id="socket-udp"),
    *call("socket", "1, 1, 0", "a Unix socket: Docker's, or an abstract one", id="socket-unix"),
    *call("socket", "16, 3, 0", "a netlink socket", id="socket-netlink"),
    *call("socket", "17, 3, 0", "raw packets", id="socket-packet"),
    *call("socket", "38, 5, 0", "AF_ALG: the page-cache write of Copy Fail", "CVE-2026-31431", id="socket-alg"),
    *call("socket", "40, 1, 0", "AF_VSOCK: the hypervisor", "Codex, AF_VSOCK through io_uring", id="socket-vsock"),
    *call("socketpair", "1, 1, 0, here", "two ends of one's own, to smuggle descriptors through"),
    *call("sendmsg", "0, here, 0", "the control message SCM_RIGHTS to the host"),
    *call("recvmsg", "0, here, 0x40", "descriptors that the host might send"),
    *call("sendto", "0, b'x', 1, 0, 0, 0", "out-of-band bytes on the channel"),
    *call("connect", "0, here, 110", "the channel connected elsewhere"),
    *call("bind", "0, here, 110", "the channel bound to a name"),
]  # fmt: skip
PROCESSES = [
    *call("fork", "", "fork"),
    *call("vfork", "", "vfork"),
    *call("clone", "17, 0, 0, 0, 0", "clone as fork does", id="clone-fork"),
    *call("clone", "0x100 | 17, 0, 0, 0, 0", "a child that shares the memory", id="clone-vm"),
    *call("execve", "b'/bin/sh', here, here", "another program"),
    *call("execveat", "0, b'', here, here, 0x1000", "the descriptor of the channel as a program"),
    *call("kill", "-1, 9", "everybody killed", id="kill-everybody"),
    *call("kill", "0, 9", "the process group killed", id="kill-group"),
    *call("kill", "1, 9", "the zygote killed", id="kill-zygote"),
    *call("tkill", "1, 19", "the zygote stopped"),
    *call("tgkill", "1, 1, 19", "the zygote stopped, by thread"),
    *call("rt_tgsigqueueinfo", "1, 1, 9, here", "a signal with a forged sender"),
    *call("pidfd_open", "1, 0", "a handle of the zygote"),
    *call("pidfd_getfd", "0, 3, 0", "a descriptor out of another process"),
    *call("pidfd_send_signal", "0, 9, 0, 0", "a signal by handle"),
    *call("ptrace", "0x4206, 1, 0, 0", "tracing the zygote"),
    *call("process_vm_readv", "1, here, 1, here + 64, 1, 0", "the zygote's memory read"),
    *call("process_vm_writev", "1, here, 1, here + 64, 1, 0", "the zygote's memory written"),
    *call("process_madvise", "0, here, 1, 21, 0", "another process's pages dropped"),
    *call("kcmp", "1, 1, 0, 0, 0", "comparing kernel pointers"),
    *call("prlimit64", "1, 0, here, 0", "the zygote's limits lowered to nothing"),
    *call("prlimit64", "0, 7, 0, here", "one's own limits read"  , id="prlimit-self"),
    *call("setrlimit", "0, here", "limits set anew"),
    *call("sched_setaffinity", "1, 8, b'\\x01' + bytes(7)", "the zygote bound to one core"),
    *call("sched_setscheduler", "0, 1, here", "real-time scheduling: no core for anybody else"),
    *call("setpriority", "0, 1, 19", "the zygote made slow"),
    *call("wait4", "-1, here, 1, 0", "somebody else's exit status"),
    *call("setsid", "", "away from the session, to survive its end"),
    *call("prctl", "4, 1, 0, 0, 0", "dumpable again: readable for others of the same uid"),
    *call("prctl", "1, 0, 0, 0, 0", "the parent-death signal cleared", id="prctl-parent-death"),
    *call("prctl", "36, 1, 0, 0, 0", "a subreaper: orphans come here", id="prctl-subreaper"),
    *call("prctl", "59, 1, 0, 0, 0", "PR_SET_SYSCALL_USER_DISPATCH", id="prctl-user-dispatch"),
]  # fmt: skip
TIME = [
    *call("setitimer", "0, here, 0", "the wall clock's timer stopped"),
    *call("timer_create", "0, 0, here", "timers of one's own"),
    *call("timerfd_create", "1, 0", "timers as descriptors"),
    *call("rt_sigaction", "14, here, 0, 8", "SIGALRM ignored"),
    *call("rt_sigprocmask", "0, b'\\xff' * 8, 0, 8", "every signal blocked"),
    *call("signalfd4", "-1, b'\\xff' * 8, 8, 0", "signals as a descriptor"),
    *call("clock_settime", "0, here", "the clock turned"),
]
MEMORY = [
    *call("mmap", "0, 4096, 7, 0x22, -1, 0", "memory that is writable and executable", id="mmap-executable"),
    *call("mmap", "0, 4096, 5, 0x22, -1, 0", "memory that is readable and executable", id="mmap-read-executable"),
    *call("mmap", "0, 4096, 1, 1, 0, 0", "the channel as memory", id="mmap-channel"),
    *call("mprotect", "here & ~4095, 4096, 7", "memory made executable"),
    *call("pkey_mprotect", "here & ~4095, 4096, 7, -1", "memory made executable, the newer way"),
    *call(
        "madvise",
        "here & ~4095, 4096, 12",
        "MADV_MERGEABLE: a side channel between tenants",
        "page deduplication attacks",
    ),
    *call("mlock", "here & ~4095, 4096", "memory that cannot be taken back"),
    *call("shmget", "0x464c4147, 4096, 0o1666", "shared memory that outlives the process"),
    *call("semget", "0x464c4147, 1, 0o1666", "semaphores that outlive the process"),
    *call("msgget", "0x464c4147, 0o1666", "a message queue that outlives the process"),
    *call("mq_open", "hint['mark'].encode(), 0o102, 0o666, 0", "a POSIX queue that outlives the process"),
    *call("vmsplice", "0, here, 1, 0", "pages given to the kernel"),
    *call("splice", "0, 0, 0, 0, 1, 0", "bytes moved inside the kernel", "CVE-2022-0847"),
    *call("sendfile", "0, 0, 0, 4096", "bytes of a file to the channel"),
]
DESCRIPTORS = [
    *call("dup", "0", "the channel doubled, to keep it open"),
    *call("dup2", "0, 1", "the channel under another number"),
    *call("fcntl", "0, 0, 1", "the channel doubled by fcntl"),
    *call("fcntl", "0, 4, 0x800", "the channel made non-blocking for both ends", id="fcntl-flags"),
    *call("ioctl", "0, 0x541b, here", "an ioctl on the channel"),
    *call("ioctl", "0, 0x5412, b'x'", "TIOCSTI: keys typed into a terminal", "CVE-2017-5226", id="ioctl-tiocsti"),
    *call("lseek", "0, 0, 0", "a position in the channel"),
    *call("pipe2", "here, 0", "a pipe"),
    *call("eventfd2", "0, 0", "an event counter"),
    *call("epoll_create1", "0", "an epoll descriptor"),
]

if MACHINE == "x86_64":
    OTHER_ENTRIES = [
        machine_code("x32", "the x32 table of system calls, past a filter that knows only 64-bit numbers",
                     "Docker 29.4.2, socketcall", f"""
        def run(hint: dict, services=None):
            for number in ({NUMBERS["getpid"]}, {NUMBERS["openat"]}, {NUMBERS["socket"]}, 512 + 8):
                if syscall(0x40000000 | number, -100, b"/", 0) >= 0:
                    return "ESCAPED x32"
            return "refused"
        """),
        machine_code("int80", "int 0x80 found in the C library's text: the i386 table of system calls",
                     "Docker 29.4.2, socketcall", """
        def run(hint: dict, services=None):
            names = ("qsort", "printf", "malloc", "write", "getenv", "strtol", "connect", "regcomp", "glob", "wcstombs")
            marks = sorted(ctypes.cast(getattr(LIBC, name), ctypes.c_void_p).value for name in names)
            text = ctypes.string_at(marks[0], marks[-1] - marks[0])
            spot = text.find(bytes((0xCD, 0x80, 0xC3)))
            if spot < 0:
                spot = text.find(bytes((0xCD, 0x80)))
            if spot < 0:
                return "no such bytes"
            entry = ctypes.CFUNCTYPE(ctypes.c_long)(marks[0] + spot)
            result = entry()
            return "ESCAPED int80: %d" % result
        """),
        machine_code("vsyscall", "the legacy page of system calls at a fixed address", "vsyscall emulation", """
        def run(hint: dict, services=None):
            moment = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_void_p)(0xFFFFFFFFFF600400)(None)
            return "returned" if moment else "nothing"
        """),
    ]  # fmt: skip
else:
    OTHER_ENTRIES = []

WITH_NUMBERS = [
    machine_code("read-descriptors", "every descriptor but the channel read: what was inherited, what leaked",
                 "CVE-2024-21626", f"""
        def run(hint: dict, services=None):
            spot = ctypes.create_string_buffer(4096)
            open_ones = [number for number in range(1, 2048) if syscall({NUMBERS["read"]}, number, spot, 0) >= 0]
            return ["ESCAPED", open_ones] if open_ones else "none"
        """),
    machine_code("write-descriptors", "every descriptor but the channel written: the zygote's control socket",
                 "CVE-2024-21626", f"""
        def run(hint: dict, services=None):
            took = [number for number in range(1, 2048) if syscall({NUMBERS["write"]}, number, b"f9", 2) >= 0]
            return ["ESCAPED", took] if took else "none"
        """),
    machine_code("mmap-descriptors", "every descriptor as memory", "own", f"""
        def run(hint: dict, services=None):
            for number in range(64):
                if syscall({NUMBERS["mmap"]}, 0, 4096, 1, 2, number, 0) > 0:
                    return "ESCAPED"
            return "none"
        """),
    machine_code("memory-by-mmap", "memory from the kernel itself, past Python's allocator", "own", f"""
        def run(hint: dict, services=None):
            taken = 0
            while taken < 1 << 40 and syscall({NUMBERS["mmap"]}, 0, 1 << 24, 3, 0x4022, -1, 0) > 0:
                taken += 1 << 24
            return ["ESCAPED", taken] if taken > 1 << 30 else taken
        """, bare=CONTAINED | {"memory_exceeded"}),
    machine_code("stop-the-timer-then-sleep", "the wall timer reset, signals ignored, then asleep", "own", f"""
        import time
        def run(hint: dict, services=None):
            stopped = syscall({NUMBERS["setitimer"]}, 0, b"\\0" * 32, 0)
            time.sleep(8)
            return "ESCAPED the wall limit"
        """),
    machine_code("raise-limits", "cpu and memory limits raised to what the hard limit allows", "own", f"""
        def run(hint: dict, services=None):
            ctypes.CDLL(None).setrlimit(0, (ctypes.c_ulong * 2)(999, 999))
            result = syscall({NUMBERS["prlimit64"]}, 0, 9, (ctypes.c_ulong * 2)(1 << 50, 1 << 50), 0)
            return "ESCAPED" if result >= 0 else result
        """),
]  # fmt: skip

WITH_PYTHON = [
    python("fork-bomb", "children of children without end", "snekbox, test_forkbomb_resource_unavailable", """
while True:
    try:
        if os.fork() == 0:
            continue
        print("ESCAPED fork")
    except OSError:
        return "refused"
"""),
    python("daemon", "a grandchild that outlives the run and keeps the channel open", "Monty, pool documentation", """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        while True:
            pass
    os._exit(0)
return "ESCAPED fork"
"""),
    python("thread", "a thread that goes on after the answer", "own", """
import _thread
def forever():
    while True:
        pass
_thread.start_new_thread(forever, ())
return "done"
""", bare=DENIED | {"memory_exceeded"}),
    python("environment", "the environment of the process, in Python and in memory", "Windmill documentation", """
print(dict(os.environ), os.environb)
return "ESCAPED" if any("FLAG" in value for value in os.environ.values()) else "clean"
"""),
    python("proc-files", "/proc: environment, memory map, command lines, other processes", "microsandbox CVE-2026-61670", """
names = ["environ", "maps", "cmdline", "status", "mem", "fd", "ns/net", "root", "cwd/etc/passwd", "task"]
for who in ["self", "1", "2", str(hint["host_pid"])]:
    for name in names:
        try:
            print("ESCAPED", os.read(os.open("/proc/" + who + "/" + name, 0), 65536))
        except OSError as error:
            pass
return "nothing"
"""),
    python("find-files", "files anywhere: configuration, tokens, the program's own source", "own", """
for path in [hint["file"], "/", ".", "..", "/etc/passwd", "/etc/shadow", "/root/.ssh/id_rsa", "/proc", "/sys", "/dev/mem",
             "/run/docker.sock", "/var/run/secrets/kubernetes.io/serviceaccount/token", hint["root"], "pyproject.toml"]:
    try:
        print("ESCAPED", path, os.open(path, 0))
    except OSError as error:
        pass
return "nothing"
"""),
    python("fill-disk", "a sparse file of a pebibyte, a million files, a thousand directories", "snekbox tests", """
for place in ["/tmp/", "/dev/shm/", "/var/tmp/", "", hint["root"] + "/", "/run/", "/mnt/"]:
    try:
        os.pwrite(os.open(place + hint["mark"], os.O_CREAT | os.O_WRONLY), b"x", 1 << 50)
        print("ESCAPED", place)
    except OSError as error:
        pass
return "nothing"
"""),
    python("exit-quietly", "exit without an answer, as if all were well", "own", "os._exit(0)", bare=KILLED | {"agent_error"}),
    python("exit-code", "exit with a code that the zygote might use itself", "own", "os._exit(97)",
           bare=KILLED | {"agent_error"}),
    python("abort", "abort", "own", "os.abort()", bare=KILLED),
    python("crash", "a crash in native code", "Monty, use after free", "ctypes.string_at(1)", bare=KILLED,
           imports="import ctypes"),
    python("crash-freed", "memory freed twice", "Monty, use after free", """
block = LIBC.malloc(64)
LIBC.free(block)
LIBC.free(block)
return "survived"
""", bare=CONTAINED, imports="import ctypes\nLIBC = ctypes.CDLL(None)\nLIBC.malloc.restype = ctypes.c_void_p\n"
           "LIBC.free.argtypes = [ctypes.c_void_p]"),
    python("fake-own-limit", "SIGXCPU sent to oneself: the blame put on another limit", "own",
           "import signal\nsignal.raise_signal(24)\nreturn 'survived'",
           bare=KILLED | RETURNED | {"cpu_time_exceeded", "agent_error"}),
]  # fmt: skip

OTHER_PROCESSES = [
    machine_code("see-host", "the host's process, by its number: a signal could reach it, or would but for its user", "own", f"""
        def run(hint: dict, services=None):
            result = syscall({NUMBERS["kill"]}, hint["host_pid"], 0)
            return "ESCAPED: there is such a process" if result in (0, -1) else result
        """),
]  # fmt: skip

READING_MEMORY = [
    machine_code("scan-objects", "every object of the interpreter searched for another tenant's", "mitos, silent inheritance", """
        import gc
        def run(hint: dict, services=None):
            seen, todo, found = set(), gc.get_objects(), []
            while todo:
                thing = todo.pop()
                if id(thing) in seen:
                    continue
                seen.add(id(thing))
                todo.extend(gc.get_referents(thing))
                if isinstance(thing, (str, bytes)) and hint["prefix"] in str(thing):
                    found.append(str(thing)[:500])
            print(found)
            return len(seen)
        """),
    machine_code("scan-heap", "the heap searched byte by byte: what the zygote or an earlier run had freed",
                 "mitos, silent inheritance", """
        import gc
        LIBC.sbrk.restype = ctypes.c_void_p
        def run(hint: dict, services=None):
            top, prefix = LIBC.sbrk(0), hint["prefix"].encode()
            addresses, todo = set(), gc.get_objects()
            while todo:
                thing = todo.pop()
                if id(thing) not in addresses:
                    addresses.add(id(thing))
                    todo.extend(gc.get_referents(thing))
            heap = [address for address in addresses if 0 < top - address < 1 << 28]
            spans = [(min(heap) & ~4095, top)] if heap else []
            spans += [(page << 12, (page + 1) << 12) for page in {address >> 12 for address in addresses}]
            for start, end in spans:
                memory = ctypes.string_at(start, end - start)
                spot = memory.find(prefix)
                while spot >= 0:
                    print(memory[spot:spot + 60])
                    spot = memory.find(prefix, spot + 1)
            return len(spans)
        """),
    machine_code("scan-stack", "the first bytes of the stack: arguments and environment the process started with",
                 "own", """
        def run(hint: dict, services=None):
            first = ctypes.c_void_p.in_dll(LIBC, "environ").value
            name = ctypes.c_char_p.in_dll(LIBC, "program_invocation_name").value
            print(name)
            block = ctypes.c_void_p.in_dll(LIBC, "__libc_stack_end").value if hasattr(LIBC, "__libc_stack_end") else first
            if block:
                print(ctypes.string_at(block, 2000))
            return "done"
        """),
    machine_code("own-frames", "the host's side of the guest searched frame by frame: locals of the loop that runs it",
                 "PraisonAI CVE-2026-39888", """
        import sys
        def run(hint: dict, services=None):
            frame, texts = sys._getframe(), []
            while frame is not None:
                for name, value in frame.f_locals.items():
                    try:
                        texts.append(name + "=" + repr(value)[:300])
                    except Exception:
                        pass
                frame = frame.f_back
            print(texts)
            return "done"
        """),
]  # fmt: skip

ATTACKS = [
    *KERNEL_DOORS, *NAMESPACES, *FILES, *NETWORK, *PROCESSES, *TIME, *MEMORY, *DESCRIPTORS, *OTHER_ENTRIES,
    *WITH_NUMBERS, *WITH_PYTHON, *OTHER_PROCESSES, *READING_MEMORY,
]  # fmt: skip
