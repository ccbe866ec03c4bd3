"""SIP syntax: messages, headers, URIs, bodies, framing."""
