"""A Mensajería Negocios platform made with the XML-RPC server of Python's standard library.

Prints "listening on HOST:PORT", serves until SIGTERM, then writes what it received to the file named by --record: the
messages in order, the most requests that were under way at once, the largest batch, and what no client may do.
"""

import argparse
import json
import os
import signal
import socketserver
import threading
import time
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

METHOD = "MensajeriaNegocios.enviarSMS"
ACCEPTED = 0


class Handler(SimpleXMLRPCRequestHandler):
    """The one entrance; connections are kept, as the platform keeps them."""

    rpc_paths = ("/SrvConexion",)
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Nothing is logged: the record tells all."""


class Server(socketserver.ThreadingMixIn, SimpleXMLRPCServer):
    """A thread for each connection, so that two requests at once would be seen."""

    daemon_threads = True


class Platform:
    """Takes every message, after a while, and keeps book."""

    def __init__(self, login, password, delay_seconds):
        self.credentials = (login, password)
        self.delay_seconds = delay_seconds
        self.lock = threading.Lock()
        self.in_flight = 0
        self.record = {
            "messages": [],
            "requests": 0,
            "most_in_flight": 0,
            "largest_batch": 0,
            "wrong_credentials": 0,
            "malformed": 0,
        }

    def send(self, login, password, messages):
        with self.lock:
            self.in_flight += 1
            self.record["requests"] += 1
            self.record["most_in_flight"] = max(self.record["most_in_flight"], self.in_flight)
        try:
            time.sleep(self.delay_seconds)
            return self.take(login, password, messages)
        finally:
            # Before the answer goes out: whoever waits for it cannot be seen here twice.
            with self.lock:
                self.in_flight -= 1

    def take(self, login, password, messages):
        with self.lock:
            if (login, password) != self.credentials:
                self.record["wrong_credentials"] += 1
                raise ValueError("wrong credentials")
            well_formed = isinstance(messages, list) and all(
                isinstance(message, list) and len(message) == 3 and all(isinstance(leaf, str) for leaf in message)
                for message in messages
            )
            if not well_formed:
                self.record["malformed"] += 1
                raise ValueError("messages must be arrays of three strings")
            self.record["largest_batch"] = max(self.record["largest_batch"], len(messages))
            for phone, text, sender in messages:
                self.record["messages"].append({"number": phone, "text": text, "sender": sender})
            return [ACCEPTED] * len(messages)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", required=True, help="file for what was received")
    parser.add_argument("--login", required=True)
    parser.add_argument("--delay-ms", type=int, default=100, help="how long a request takes")
    arguments = parser.parse_args()
    password = os.environ["PEER_PASSWORD"]
    platform = Platform(arguments.login, password, arguments.delay_ms / 1000)

    # Blocked in every thread, so that only the wait below takes it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    with Server(("127.0.0.1", 0), requestHandler=Handler, logRequests=False) as server:
        server.register_function(platform.send, METHOD)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host, port = server.server_address
        print(f"listening on {host}:{port}", flush=True)
        signal.sigwait({signal.SIGTERM})
        server.shutdown()
    with open(arguments.record, "w", encoding="utf-8") as file:
        json.dump(platform.record, file, ensure_ascii=False)


if __name__ == "__main__":
    main()
