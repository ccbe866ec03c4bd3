"""A simulated machine room: several switches in one thread, on a simulated clock and in-memory networks.

`clock` has the loop and the time, `patches` what a switch has of threads and sockets in their place, `redis`
the server of the bus, `network` HTTP, WebSockets and SIP, `world` a switch of one node or of several.
"""
