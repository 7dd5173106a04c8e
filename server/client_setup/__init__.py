"""How the clients on a user's machine sign in at a server: the files that they read, and a try of each of them."""
