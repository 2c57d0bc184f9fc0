"""The HTTP door: `POST /events`, for producers that can't speak gRPC, such as webhooks.

It takes the same events as `SendEvents`, and gives the same answers; only their form is another.
"""
