"""How people come in: signing in, their own things, who may come in at all, and the first boot."""
