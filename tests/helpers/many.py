"""Command lines from standard input, each in a process that has torch imported already: status and what it said."""

import json
import os
import sys
import tempfile
import traceback

sys.path.insert(0, os.getcwd())
import dlplug.training.cli  # noqa: F401
from dlplug.__main__ import main


def run(args, env):
    with tempfile.TemporaryFile() as said:
        process = os.fork()
        if not process:
            os.environ.update(env)
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            try:
                status = main(args)
            except BaseException:
                traceback.print_exc()
                status = 99
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        said.seek(0)
        return [status, said.read().decode()]


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(run(*json.loads(line))), flush=True)
