"""How networks are trained. A network never knows this package."""
