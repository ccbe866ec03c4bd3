"""Telephones: SIP transports, trunks, registered users, and the media of their legs."""
