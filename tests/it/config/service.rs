//! The service file and the environment over it.

use crate::support::pki::Authority;

use super::{Row, S, SERVICE, Set, assert_each};

/// Mistakes in the sections of the service file.
#[rustfmt::skip] // one row, one line
const SECTIONS: &[Row] = &[
    (S, "127.0.0.1:50051", "localhost", "service.toml: grpc.listen: must be an IP address and a port, such as 127.0.0.1:50051 or [::1]:50051"),
    (S, "127.0.0.1:50051", "0.0.0.0:50051", "service.toml: grpc.listen: without [grpc.tls] only loopback is allowed: listen on 127.0.0.1 or add [grpc.tls]"),
    (S, "[store]", "max_message_bytes = 5\n[store]", "service.toml: grpc.max_message_bytes: must be from 1024 to 4194304"),
    (S, "[store]", "max_connections = -1\n[store]", "service.toml: grpc.max_connections: must be a whole number, zero or more"),
    (S, "[store]", "max_connections = 1.5\n[store]", "service.toml: grpc.max_connections: must be a whole number, zero or more, not a fraction"),
    (S, "[store]", "max_connections = nan\n[store]", "service.toml: grpc.max_connections: must be a whole number, zero or more, not a text"),
    (S, "[store]", "max_handshakes_per_source = 0\n[store]", "service.toml: grpc.max_handshakes_per_source: must be from 1 to 65535"),
    (S, "[store]", "reflection = \"hunter2\"\n[store]", "service.toml: grpc.reflection: must be true or false, not a text"),
    (S, "[store]", "[admin]\nlisten = \"127.0.0.1:50051\"\n[store]", "service.toml: admin.listen: is the address of grpc.listen too: give each listener its own"),
    (S, "[store]", "[reports]\n[store]", "service.toml: reports.public_url: is required: give the https URL under which the gateways reach this listener"),
    (S, "[store]", "[reports]\npublic_url = \"http://otp.example.gob.es\"\n[store]", "service.toml: reports.public_url: must begin with https:// (plain http:// is for loopback alone)"),
    (S, "[store]", "[delivery]\nmax_life_minutes = 31\n[store]", "service.toml: delivery.max_life_minutes: must be from 1 to 30"),
    (S, "[store]", "[limits]\nqueue_per_account = 0\n[store]", "service.toml: limits.queue_per_account: must be from 1 to 1000000"),
    (S, "[store]", "\"a[99999999999]\" = 1\n[store]", "service.toml: grpc.\"a[99999999999]\": is an unknown key; known here: listen, tls, reflection, max_message_bytes, max_header_bytes, arrival_timeout_ms, keepalive_interval_seconds, keepalive_timeout_seconds, max_connections, max_handshakes_per_source, max_concurrent_streams, default_deadline_ms, shutdown_grace_seconds, max_watchers, max_watchers_per_caller, max_watchers_of_all, max_watchers_of_all_per_caller, watch_buffer, watch_heartbeat_seconds"),
    (S, "[store]", "max_watchers = 0\n[store]", "service.toml: grpc.max_watchers: must be from 1 to 100000"),
    (S, "[store]", "max_watchers_of_all = 10\nmax_watchers_of_all_per_caller = 11\n[store]", "service.toml: grpc.max_watchers_of_all_per_caller: must be from 1 to 10"),
    (S, "[store]", "watch_buffer = 255\n[store]", "service.toml: grpc.watch_buffer: must be from 256 to 65536"),
    (S, "[store]", "watch_heartbeat_seconds = 0\n[store]", "service.toml: grpc.watch_heartbeat_seconds: must be from 1 to 3600"),
    (S, "[store]", "[delivery]\nchanges_kept_hours = 745\n[store]", "service.toml: delivery.changes_kept_hours: must be from 1 to 744"),
    (S, "\n[grpc]", "\"a[99999999999]\" = 1\n[grpc]", "service.toml: \"a[99999999999]\": is an unknown key: remove it, or look for a typing error"),
    (S, "\n[grpc]", "[grcp]\n[grpc]", "service.toml: grcp: is an unknown key; did you mean \"grpc\"?"),
    (S, "sqlite://data/clave-otp.db", "postgres://u:hunter2@host/db", "service.toml: store.url: PostgreSQL is not in this release: use sqlite://"),
    (S, "sqlite://data/clave-otp.db", "mysql://u:hunter2@host/db", "service.toml: store.url: must be sqlite:// and the path of a file, such as sqlite://data/clave-otp.db"),
    (S, "sqlite://data/clave-otp.db", "sqlite://:memory:", "service.toml: store.url: must name a file after sqlite://, without ':memory:', '?' or '#'"),
];

#[test]
fn sections_of_the_service_file_are_judged() {
    assert_each(SECTIONS);
}

#[test]
fn tls_files_must_exist_and_the_key_must_be_private() {
    let tls = "[grpc.tls]\ncertificate_file = \"s.pem\"\nprivate_key_file = \"s.key\"\nclient_ca_file = \"ca.pem\"\n[store]";
    let set = Set::new()
        .change(S, "[store]", tls)
        .change(
            S,
            "loopback = true",
            "certificate_san = \"backend.example.gob.es\"",
        )
        .change(S, "127.0.0.1:50051", "0.0.0.0:50051");
    set.write("s.pem", &Authority::new("test").pem);
    set.write("s.key", "");
    set.mode("s.key", 0o640);
    assert_eq!(
        set.problems(),
        [
            "service.toml: grpc.tls.client_ca_file: cannot be read (no such file): name a PEM file; relative paths start at the folder of this file".into(),
            format!(
                "service.toml: grpc.tls.private_key_file: can be read or changed by others (mode 0640): chmod 600 {}",
                set.path("s.key").display()
            ),
        ]
    );
    set.mode("s.key", 0o600);
    set.write("ca.pem", "");
    assert_eq!(
        set.problems(),
        [
            "service.toml: grpc.tls.client_ca_file: holds none in PEM form: name a PEM file of certificates"
        ]
    );
    set.write("ca.pem", &Authority::new("test").pem);
    assert_eq!(
        set.settings().grpc.tls.unwrap().private_key_file,
        set.path("s.key")
    );
}

/// Mistakes of one caller.
#[rustfmt::skip] // one row, one line
const CALLERS: &[Row] = &[
    (S, "loopback = true", "loopback = true\ncertificate_san = \"a.example\"", "service.toml: callers[0].certificate_san: a caller has either certificate_san or loopback = true: remove one"),
    (S, "loopback = true", "loopback = false", "service.toml: callers[0].certificate_san: is required: give the DNS or URI name in the caller's certificate, or loopback = true without TLS"),
    (S, "[\"*\"]", "[\"*\", \"L01280796\"]", "service.toml: callers[0].administrations: \"*\" means all: list nothing beside it"),
    (S, "[\"*\"]", "[]", "service.toml: callers[0].administrations: must list at least one DIR3 code, or \"*\" for all"),
    (S, "[\"sender\"]", "[]", "service.toml: callers[0].roles: must list at least one role, such as \"sender\""),
    (S, "name = \"backend\"", "name = \"Back end\"", "service.toml: callers[0].name: must be 1 to 63 of a-z, 0-9, '-', '_' and '.', beginning with a letter or digit"),
];

#[test]
fn callers_are_told_apart_and_reach_only_what_exists() {
    let second = "\n[[callers]]\nname = \"backend\"\nloopback = true\nadministrations = [\"L01080193\"]\nroles = [\"sendr\"]\n";
    let set = Set::new().change(
        S,
        "roles = [\"sender\"]\n",
        &format!("roles = [\"sender\"]\n{second}"),
    );
    assert_eq!(
        set.problems(),
        [
            "service.toml: callers[1].administrations[0]: no administration of this set has this DIR3 code",
            "service.toml: callers[1].roles[0]: must be one of: sender, operator, statistics, auditor, certified; did you mean \"sender\"?",
            "service.toml: callers[1].name: is the name of callers[0] too: give each caller its own",
            "service.toml: callers[1].loopback: recognises callers[0] too: without TLS there can be one caller",
        ]
    );
    assert_each(CALLERS);
    let nobody = Set::new();
    nobody.write(S, SERVICE.split("[[callers]]").next().unwrap());
    assert_eq!(
        nobody.warnings(),
        ["service.toml: callers: nobody may call the API: add a [[callers]] table"]
    );
}

#[test]
fn the_environment_overrides_the_service_file() {
    let set = Set::new()
        .variable("CLAVE_OTP__GRPC__LISTEN", "127.0.0.1:0")
        .variable("CLAVE_OTP__GRPC__REFLECTION", "false")
        .variable("CLAVE_OTP__STORE__MAX_GROUP", "7")
        .variable("CLAVE_OTP_LOG", "debug");
    let settings = set.settings();
    assert_eq!(settings.grpc.listen.port(), 0);
    assert!(!settings.grpc.reflection);
    assert_eq!(settings.store.max_group, 7);
    let wrong = Set::new()
        .variable("CLAVE_OTP__GRPC__LISTEN", "hunter2")
        .variable("CLAVE_OTP__STORE__URI", "hunter2")
        .variable("CLAVE_OTP__STORE__QUEUE", "0")
        .variable("CLAVE_OTP__A[9999999999]", "1");
    assert_eq!(
        wrong.problems(),
        [
            "environment: CLAVE_OTP__A[9999999999]: names no key: unset this variable",
            "environment: CLAVE_OTP__STORE__URI: is an unknown key; did you mean \"url\"?",
            "environment: CLAVE_OTP__GRPC__LISTEN: must be an IP address and a port, such as 127.0.0.1:50051 or [::1]:50051",
            "environment: CLAVE_OTP__STORE__QUEUE: must be from 1 to 1000000",
        ]
    );
}
