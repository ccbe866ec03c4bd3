"""Legs, one package a kind: SIP, WebRTC, WebSocket, pyVoIP, streams to services, and local ones."""
