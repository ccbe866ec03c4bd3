"""SIP without I/O: messages, transactions, dialogs, sessions, registrations (RFC 3261 and its extensions).

A shell reads with `framer` and `message.parse`, drives one `agent.UserAgent` and, per trunk, one
`registration.Registration`; what happened is told in `happenings`. Within, from below:

- `transaction_tables`, `transaction`, `transactions`: the four machines;
- `exchange`: one request of ours over challenges (`proof`) and servers; `asking`: those outside a call;
- `dialog`, `routing`: who the far end is, and the way there;
- `session`: the state of a call, and the rooms that work on it: `session_caller` and `session_called` until
  the answer, `session_accept` (200 and its ACK), `session_reliable` (100rel), `session_offers`,
  `session_timer`, `session_refer`, `session_inside`, `session_ending`;
- `reception`: the door, where requests come in.
"""
