"""Messages about calls to applications: webhooks, callbacks and event feeds."""
