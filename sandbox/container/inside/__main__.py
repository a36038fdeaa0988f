"""All that runs in a throwaway container: `python -I -B -m sandbox.container.inside`, as its PID 1.

Two processes of one user. The warden is PID 1, so that the guest cannot signal it, and not dumpable, so that the guest
can neither read nor write it. It ends the run: at its wall time, when all processes together have used their processor
time, when the host is gone. It tells the host about it on stderr, a stream that the guest is not given. The guest, its
child, speaks the wire of sandbox/wire.py on stdin and stdout, does one job, and is killed with all that it started.
"""

import os

from sandbox.container.inside.guest import live
from sandbox.container.inside.layers import filtered, layers
from sandbox.container.inside.warden import Warden, become_warden


def main() -> None:
    os.environ.clear()
    seccomp = filtered()
    warden = become_warden()
    header_in, header_out = os.pipe()
    done_in, done_out = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(header_out)
        os.close(done_in)
        live(header_in, done_out)
    os.close(header_in)
    os.close(done_out)
    Warden(guest=pid, header=header_out, done=done_in).watch(layers(seccomp=seccomp, warden=warden))


if __name__ == "__main__":
    main()
