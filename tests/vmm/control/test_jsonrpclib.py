#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""A client library that is not ours (jsonrpclib-pelix) speaks to a control socket. Its own transport
is HTTP, so the test gives it one of lines.

usage: test_jsonrpclib.py SERVE_FAKE
"""
import os
import socket
import subprocess
import sys
import tempfile

from waiting import LIMIT_S, SKIPPED, wait_for

try:
    import jsonrpclib
    from jsonrpclib.jsonrpc import ProtocolError
except ImportError:
    print("skipped: python3-jsonrpclib-pelix is missing")
    sys.exit(SKIPPED)


class Lines:
    """A transport of the library: one request is one line, and so is its answer."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.lines = self.socket.makefile("r", encoding="utf-8")

    def request(self, _host, _handler, request_body, verbose=0):
        del verbose
        self.socket.sendall(request_body.encode() + b"\n")
        return self.lines.readline()

    def push_headers(self, _headers):
        pass

    def pop_headers(self, _headers):
        pass

    def close(self):
        self.lines.close()
        self.socket.close()


def refused(call, code):
    try:
        call()
    except ProtocolError as error:
        return error.args[0][0] == code
    return False


def check(vm):
    assert vm.status()["state"] == "running"
    assert vm.pause() == {}
    assert refused(vm.pause, 2)
    assert vm.status()["paused"] is True
    assert vm.resume() == {}
    assert vm.snapshot(name="x", compress="zlib:3")["name"] == "x"
    assert refused(lambda: vm.snapshot(name="a/b"), -32602)
    assert refused(lambda: vm.snapshot("x"), -32602)  # parameters without names
    assert refused(vm.nothing, -32601)
    assert "version" in vm.version()
    assert vm.quit() == {}


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "sock")
        with subprocess.Popen([sys.argv[1], path, folder]) as server:
            wait_for(path, server)
            transport = Lines(path)
            try:
                check(jsonrpclib.ServerProxy("http://localhost", transport=transport))
            finally:
                transport.close()
                if sys.exc_info()[0]:
                    server.kill()
            return server.wait(LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
