"""The dialect of the rooms API: REST in snake_case, the WebSocket ``/ws`` in camelCase."""
