"""softswitch: a self-hosted WebRTC and SIP softswitch with WebSocket signalling."""

import os

__version__ = "0.1.0"

# numpy reads these once, when it is first imported. The engine's products are small and come every 20 ms:
# a pool of BLAS threads would only fight with the tick for the cores.
for _variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
