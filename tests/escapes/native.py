# ruff: noqa: E501 - a table: one entry a line
"""Numbers of Linux system calls, by name: an attacker with native code calls the kernel by number, not through Python."""

import platform

MACHINE = platform.machine()

_X86_64 = """
read 0 write 1 open 2 close 3 stat 4 poll 7 lseek 8 mmap 9 mprotect 10 munmap 11 brk 12 rt_sigaction 13 rt_sigprocmask 14 ioctl 16 pread64 17
madvise 28 mremap 25 shmget 29 dup 32 dup2 33 pause 34 nanosleep 35 setitimer 38 getpid 39 sendfile 40 socket 41 connect 42 sendto 44
sendmsg 46 recvmsg 47 bind 49 socketpair 53 clone 56 fork 57 vfork 58 execve 59 wait4 61 kill 62 uname 63 semget 64 msgget 68 fcntl 72
truncate 76 ftruncate 77 getdents64 217 getcwd 79 chdir 80 rename 82 mkdir 83 creat 85 link 86 symlink 88 readlink 89 ptrace 101
syslog 103 setuid 105 setsid 112 capset 126 mknod 133 personality 135 setpriority 141 sched_setscheduler 144 mlock 149 modify_ldt 154
pivot_root 155 prctl 157 arch_prctl 158 setrlimit 160 chroot 161 mount 165 umount2 166 reboot 169 iopl 172 init_module 175
tkill 200 io_setup 206 timer_create 222 clock_settime 227 tgkill 234 mq_open 240 kexec_load 246 add_key 248 request_key 249 keyctl 250 inotify_init1 294
openat 257 mkdirat 258 unlinkat 263 splice 275 vmsplice 278 unshare 272 timerfd_create 283 eventfd2 290 epoll_create1 291
signalfd4 289 pipe2 293 rt_tgsigqueueinfo 297 perf_event_open 298 fanotify_init 300 prlimit64 302 name_to_handle_at 303 open_by_handle_at 304
setns 308 process_vm_readv 310 process_vm_writev 311 kcmp 312 sched_setattr 314 seccomp 317 memfd_create 319 bpf 321 execveat 322
userfaultfd 323 pkey_mprotect 329 io_uring_setup 425 pidfd_send_signal 424 open_tree 428 move_mount 429 fsopen 430 pidfd_open 434 clone3 435
openat2 437 pidfd_getfd 438 process_madvise 440 landlock_create_ruleset 444 memfd_secret 447 sched_setaffinity 203
"""
_AARCH64 = """
read 63 write 64 close 57 lseek 62 mmap 222 mprotect 226 munmap 215 brk 214 rt_sigaction 134 rt_sigprocmask 135 ioctl 29 pread64 67
madvise 233 mremap 216 shmget 194 dup 23 nanosleep 101 setitimer 103 getpid 172 sendfile 71 socket 198 connect 203 sendto 206
sendmsg 211 recvmsg 212 bind 200 socketpair 199 clone 220 execve 221 wait4 260 kill 129 uname 160 semget 190 msgget 186 fcntl 25
truncate 45 ftruncate 46 getdents64 61 getcwd 17 chdir 49 ptrace 117 syslog 116 setuid 146 setsid 157 capset 91 personality 92
setpriority 140 sched_setscheduler 119 mlock 228 pivot_root 41 prctl 167 setrlimit 164 chroot 51 mount 40 umount2 39 reboot 142
init_module 105 tkill 130 io_setup 0 timer_create 107 clock_settime 112 tgkill 131 mq_open 180 kexec_load 104 add_key 217 request_key 218
keyctl 219 inotify_init1 26 openat 56 mkdirat 34 unlinkat 35 splice 76 vmsplice 75 unshare 97 timerfd_create 85 eventfd2 19 epoll_create1 20
signalfd4 74 pipe2 59 rt_tgsigqueueinfo 240 perf_event_open 241 fanotify_init 262 prlimit64 261 name_to_handle_at 264
open_by_handle_at 265 setns 268 process_vm_readv 270 process_vm_writev 271 kcmp 272 sched_setattr 274 seccomp 277 memfd_create 279 bpf 280
execveat 281 userfaultfd 282 pkey_mprotect 288 io_uring_setup 425 pidfd_send_signal 424 open_tree 428 move_mount 429 fsopen 430
pidfd_open 434 clone3 435 openat2 437 pidfd_getfd 438 process_madvise 440 landlock_create_ruleset 444 memfd_secret 447 sched_setaffinity 122
"""


def _table(text: str) -> dict[str, int]:
    words = text.split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


NUMBERS = _table(_X86_64 if MACHINE == "x86_64" else _AARCH64)
