"""SIP registration: bindings of users, and registrations at other servers."""
