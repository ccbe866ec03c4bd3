"""RTP as arrays, without I/O: one row per datagram or slot, time as an argument.

Media time is counted in units of 1/48000 s (:data:`softswitch.rtp.packet.UNITS`), a multiple of every RTP
clock used for speech, so that streams whose clock changes stay exact integers. RFC 3550, 4733, 5761,
6464, 8285.
"""
