"""Voicemail: messages that callers leave for users, and the mailboxes that keep them."""
