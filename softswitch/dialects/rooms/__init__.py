"""The rooms dialect: REST in snake_case, ``/ws`` in camelCase."""
