"""The room model: state and rules of a conference, without I/O."""
