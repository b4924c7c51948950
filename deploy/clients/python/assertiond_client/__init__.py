"""Asks assertiond for OAuth 2.0 client assertions that an HSM signs. See README.md."""
from assertiond_client.client import Client
from assertiond_client.errors import AssertiondError
from assertiond_client.stream import AssertionStream

__all__ = ["AssertionStream", "AssertiondError", "Client"]
