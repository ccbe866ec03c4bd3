"""What the doctor looks at. Each check takes the settings and returns findings; none changes anything."""
