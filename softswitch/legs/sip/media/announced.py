"""The local address of one leg's media in its descriptions: of the family that the peer can reach."""

from softswitch.legs.sip.media.shared import AddressToward


class Announced:
    """The address for the c= line of one leg; asked for anew with each description, since it may change."""

    def __init__(self, address_toward: AddressToward, remote: str) -> None:
        """Begin with the peer's signalling.

        Args:
            address_toward: returns the local address by the address of the peer.
            remote: address of the peer's signalling; "" where it is not known.
        """
        self._address_toward = address_toward
        self._remote = remote

    def text(self) -> str:
        """Return the present address."""
        return self._address_toward(self._remote)

    def meet(self, media_host: str) -> None:
        """Take account of the peer's media address, where its family is another than that of its signalling.

        Of one family, signalling decides: a peer behind a proxy near by is told the address near by.
        """
        if (":" in media_host) != (":" in self.text()):
            self._remote = media_host
