"""Whether this process may open assertiond's socket. gRPC says of one that it may not open that it is UNAVAILABLE."""
import grp
import os


def why_closed(server):
    """Why this process may not open the socket of unix:/path; None: it may, or something else is wrong."""
    path = server.removeprefix("unix:")
    try:
        group = os.stat(path).st_gid
    except PermissionError:
        return f"you may not search the folders that lead to {path}"
    except OSError:
        return None
    if os.access(path, os.W_OK):
        return None
    if group == 0:  # nobody should join root's
        return f"you may not open {path}: assertiond's listen_group must be set to one of your groups"
    try:
        return f"you may not open {path}: it needs membership of the group {grp.getgrgid(group).gr_name}"
    except KeyError:
        return f"you may not open {path}: it needs membership of the group {group}"
