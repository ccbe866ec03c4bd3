"""Calls (RFC 3261 section 13 and extensions): `sessions` is the table, `session` one call and its parts.

The parts are, from below: `acknowledgements` (ACK, unwanted 2xx), `ending` (BYE), `success` (2xx until its
ACK), `reliable` (100rel), `timer` (RFC 4028), `offers` (re-INVITE, UPDATE), `refer` (transfer), `called` and
`caller` (the two roles until the answer) and `requests` (all requests within the call). They share `state`.
"""
