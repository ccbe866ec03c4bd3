"""Certificates: TLS contexts that follow their files, and certificates from an ACME authority (RFC 8555)."""
