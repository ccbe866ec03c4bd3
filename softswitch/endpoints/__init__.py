"""What sits at the far end of a leg: WebRTC by aiortc and aioice, files to be played."""
