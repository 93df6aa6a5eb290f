"""The caller's side of `warm_program`; it is started for each command and imports next to nothing.

`python warm_client.py DOOR PYTHON ARGUMENTS...`: what PYTHON would do with the arguments.
"""

import json
import os
import signal
import socket
import sys

door, python, *arguments = sys.argv[1:]
if arguments[:2] != ["-m", "exclave"]:
    os.execv(python, [python, *arguments])
umask = os.umask(0o077)
order = {
    "arguments": arguments[2:],
    "environment": dict(os.environ),
    "folder": os.getcwd(),  # noqa: PTH109  pathlib takes longer to import than all this
    "umask": umask,
}
server = socket.socket(socket.AF_UNIX)
server.connect(door)
# A signal that comes before there is a process is held back until there is.
forwarded = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
signal.pthread_sigmask(signal.SIG_BLOCK, forwarded)
socket.send_fds(server, [json.dumps(order).encode() + b"\n"], [0, 1, 2])
answer = server.makefile("rb")
process = int(answer.readline())
for number in forwarded:
    signal.signal(number, lambda received, _: os.kill(process, received))
signal.pthread_sigmask(signal.SIG_UNBLOCK, forwarded)
code = int(answer.readline())
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
