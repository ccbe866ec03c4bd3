"""Pure translation between wire text and the common call model, one dialect a package; none knows another."""
