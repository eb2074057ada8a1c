"""Makes the Python side of the protocol from proto/, when it is needed, with grpcio-tools."""

import importlib
import importlib.resources
import pathlib
import sys
import tempfile

from grpc_tools import protoc

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PROTO = REPOSITORY / "proto"
PACKAGE = "clave/otp/v1"


def load():
    """Returns the modules (delivery_pb2, delivery_service_pb2, delivery_service_pb2_grpc)."""
    with tempfile.TemporaryDirectory() as out:
        files = [str(path) for path in sorted((PROTO / PACKAGE).glob("*.proto"))]
        google = importlib.resources.files("grpc_tools") / "_proto"
        outputs = [f"--python_out={out}", f"--grpc_python_out={out}"]
        arguments = ["protoc", f"-I{PROTO}", f"-I{google}", *outputs, *files]
        if protoc.main(arguments) != 0:
            sys.exit("stubs.py: proto/ does not compile with grpcio-tools")
        sys.path.insert(0, out)
        names = ("delivery_pb2", "delivery_service_pb2", "delivery_service_pb2_grpc")
        package = PACKAGE.replace("/", ".")
        return [importlib.import_module(f"{package}.{name}") for name in names]
