"""The words of the call model: commands in, events out, effects to carry out, reports that come back."""
