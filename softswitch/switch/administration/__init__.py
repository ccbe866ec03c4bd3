"""Users, trunks, routes, providers, webhooks and keys that are changed while the switch runs."""
