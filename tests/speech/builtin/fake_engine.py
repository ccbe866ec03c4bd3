"""An engine for tests of processes: does what its job says."""

import os
import socket
import time
from pathlib import Path


class Fake:
    def about(self):
        return {"engine": "fake"}

    def work(self, job, body, emit):
        match job["do"]:
            case "echo":
                for piece in body.split(b","):
                    emit(piece)
                return {"pid": os.getpid(), "size": len(body)}
            case "fail":
                raise ValueError("cannot do that")
            case "die":
                os._exit(1)
            case "die once":
                if not Path(job["mark"]).exists():
                    Path(job["mark"]).touch()
                    os._exit(1)
                return {}
            case "wait":  # Until a file is there: the test says when.
                while not Path(job["mark"]).exists():
                    time.sleep(0.005)
                return {}
            case "connect":
                socket.create_connection(("127.0.0.1", 9))
            case "nice":
                group = Path("/proc/self/autogroup")
                told = group.read_text().split()[-1] if group.exists() else "5"
                return {"nice": os.nice(0), "group": int(told), "threads": os.environ["OPENBLAS_NUM_THREADS"]}
        return {}


def load():
    if os.environ.get("SOFTSWITCH_TEST_BROKEN"):
        raise RuntimeError("the model is broken")
    return Fake()
