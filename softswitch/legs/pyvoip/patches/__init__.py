"""pyVoIP 1.6.8 with its faults mended; the only package that imports it.

Each class derives from one of pyVoIP's and replaces methods that fail with ordinary peers.
`tests/legs/pyvoip/patches/test_contract.py` checks the names that are used against the release.

==================  ===================================================================================
`call.Call`         hold was answered `sendrecv`, and started two more threads; CANCEL never got its 487;
                    audio of early media and of the 200 fought for one port; 486 was the only refusal
`call.Caller`       `call()` waited endlessly for a 407; CANCEL could not be sent; a second 200 of a fork
                    was taken for the first; a 302, 486 or 600 left the call dialling
`client.Client`     a lock that is not reentrant: two INVITEs waited for each other; ACK with a random To
                    tag, sent to the To and not to the Contact; Call-IDs that repeat after each start;
                    no message was ever sent twice; blocking look-ups of the server's name
`phone.Phone`       a thread and a second of waiting for each INVITE; ports of calls in progress freed
`requests`          any BYE with the Call-ID ended a call; OPTIONS, INFO, and whatever else is not
                    INVITE, ACK, BYE or CANCEL, got no answer
`proofs`            MD5 without qop, for 401 alone
`messages.Message`  the empty `Supported:` of baresip, compact forms, folded lines, most descriptions and
                    unknown codes raised in the parser
`rtp.Stream`        PCMA was sent as PCMU; sequence numbers past 65535 shortened the packet; 19 packets a
                    second for 20; RTP of any source was played; digits came twice or not at all, and could
                    not be sent; header extensions and padding were played
`fifos`             one packet with a timestamp far ahead allocated 4 GiB; a jump of the timestamp made
                    a call deaf; every byte of a call was kept
`wire`              no retransmission, and none was recognised
==================  ===================================================================================

`audioop`, which pyVoIP needs, is gone in Python 3.13: the extra [pyvoip] brings `audioop-lts` there.
"""

# pyVoIP.SIP and pyVoIP.VoIP import each other: only this order works.
import pyVoIP.VoIP  # noqa: F401
