"""A stranger to clave-otp: learns by server reflection what there is, and asks by gRPC health whether it serves.

Prints one JSON object: the services with their methods, and the health of each name given as --health ("" is the whole
server). It reads no file of this repository.
"""

import argparse
import json

import grpc
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

# Version 1 of the reflection protocol has the messages of v1alpha under another name; grpcio ships those alone.
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
TIMEOUT_SECONDS = 20


class Reflection:
    """Questions to the server about itself."""

    def __init__(self, channel):
        self.call = channel.stream_stream(
            REFLECTION,
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )

    def ask(self, **question):
        request = reflection_pb2.ServerReflectionRequest(**question)
        return next(self.call(iter([request]), timeout=TIMEOUT_SECONDS))

    def services(self):
        answer = self.ask(list_services="").list_services_response
        return sorted(service.name for service in answer.service)

    def files(self, symbol):
        answer = self.ask(file_containing_symbol=symbol).file_descriptor_response
        return [descriptor_pb2.FileDescriptorProto.FromString(file) for file in answer.file_descriptor_proto]


def explore(channel, health_of):
    reflection = Reflection(channel)
    services = {}
    for name in reflection.services():
        services[name] = []
        for file in reflection.files(name):
            for service in file.service:
                if f"{file.package}.{service.name}" == name:
                    services[name] = sorted(method.name for method in service.method)
    health = health_pb2_grpc.HealthStub(channel)
    states = {}
    for name in health_of:
        answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=TIMEOUT_SECONDS)
        states[name] = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    return {"services": services, "health": states}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", required=True, help="HOST:PORT of the service")
    parser.add_argument("--health", action="append", default=[], help="name to ask the health of")
    arguments = parser.parse_args()
    with grpc.insecure_channel(arguments.target) as channel:
        print(json.dumps(explore(channel, arguments.health)), flush=True)


if __name__ == "__main__":
    main()
