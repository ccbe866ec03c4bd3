"""SIP trunks, registered phones and the identities they call with."""
