"""SIP without I/O: messages, transactions, dialogs, sessions, registrations (RFC 3261 and its extensions).

The driver in `softswitch.legs.sip` cuts streams with `syntax.framer`, reads messages with
`syntax.message.parse`, drives one `agent.UserAgent` and one `registrar.registration.Registration` per trunk,
and receives `events`. From below:

- `syntax`: messages and their header values;
- `transaction`: the four transaction machines of RFC 3261 section 17;
- `security`: digest authentication, challenges, limits for unknown sources;
- `context`: state that all parts of an agent share;
- `dialog`: dialogs, routing, and requests that need several transactions;
- `session`: calls;
- `registrar`: bindings of phones, registrations of trunks;
- `reception`: dispatch of incoming requests.
"""
