"""WebSocket legs (`/call`), and the frame reader and writers that bypass the queues of aiohttp."""
