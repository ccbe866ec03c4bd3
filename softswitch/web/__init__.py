"""HTTP routes and WebSockets. They reach calls by the handles of `softswitch.switch.directory`."""
