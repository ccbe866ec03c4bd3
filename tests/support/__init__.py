"""What the tests of the whole switch stand on: clients, sounds, and the switch itself on loopback."""
