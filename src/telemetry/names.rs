//! Names of the metrics, in one place (`docs/METRICS.md` tells what each means).

/// Histogram: transactions committed together.
pub const STORE_GROUP_SIZE: &str = "clave_otp_store_group_transactions";
/// Gauge: 1 while the store works, 0 while nothing can be stored.
pub const STORE_WORKS: &str = "clave_otp_store_works";
/// Counter: calls that were refused because the store did not answer within `store.max_wait_ms`.
pub const STORE_TIMEOUTS: &str = "clave_otp_store_timeouts_total";
/// Counter by `cause`: groups of transactions that were not committed.
pub const STORE_FAILURES: &str = "clave_otp_store_failures_total";
/// Counter by `account`: deliveries stored.
pub const DELIVERIES_ACCEPTED: &str = "clave_otp_deliveries_accepted_total";
/// Counter by `reason`: requests refused.
pub const REQUESTS_REFUSED: &str = "clave_otp_requests_refused_total";
/// Counter: deliveries that ran out of time before a gateway took them, as seen by the sweep.
pub const DELIVERIES_EXPIRED: &str = "clave_otp_deliveries_expired_total";
/// Counter by `account` and `outcome`: attempts that ended.
pub const ATTEMPTS: &str = "clave_otp_attempts_total";
/// Counter by `account`: rests of a lane whose gateway failed too often in a row.
pub const LANE_RESTS: &str = "clave_otp_lane_rests_total";
/// Gauge by `account` and `cause` (`paused`, `credentials`, `no_credit`): 1 while its lane is closed for that.
pub const LANE_CLOSED: &str = "clave_otp_lane_closed";
/// Gauge by `account`: the part of new codes that its lane is offered where another account could take them, 0 to 1.
pub const LANE_SHARE: &str = "clave_otp_lane_share";
/// Counter by `account`: deliveries that went from it to another account of their administration, unsent.
pub const HANDED_OVER: &str = "clave_otp_deliveries_handed_over_total";
/// Counter by `account`: deliveries that ended unsent because their sender could not be used any more, or their country not be sent to, and
/// there was no other way.
pub const DELIVERIES_UNLAWFUL: &str = "clave_otp_deliveries_unlawful_total";
/// Gauge by `account`: credit that its gateway last said to be left, in the gateway's unit.
pub const ACCOUNT_CREDIT: &str = "clave_otp_account_credit";
/// Counter by `account` and `effect`: what became of what gateways reported.
pub const REPORTS: &str = "clave_otp_reports_total";
/// Counter by `account` and `problem`: requests to the report addresses that were not believed or not understood.
pub const CALLBACKS_REFUSED: &str = "clave_otp_report_requests_refused_total";
/// Gauge: reports that no delivery is known for yet.
pub const REPORTS_EARLY: &str = "clave_otp_reports_early";
/// Counter: connections of the reports' port turned away because all places were taken.
pub const REPORTS_CONNECTIONS_REFUSED: &str = "clave_otp_reports_connections_refused_total";
/// Counter: connections of the reports' port turned away because their source had all the places that one source may have.
pub const REPORTS_SOURCE_REFUSED: &str = "clave_otp_reports_source_connections_refused_total";
/// Counter: connections of the reports' port that were closed because they took too long.
pub const REPORTS_TIMEOUTS: &str = "clave_otp_reports_timeouts_total";
/// Histogram by `account`: from the gateway's yes to the report that the handset has it, in seconds.
pub const GATEWAY_TO_HANDSET_SECONDS: &str = "clave_otp_gateway_to_handset_seconds";
/// Counter by `account`: segments that gateways took.
pub const SEGMENTS: &str = "clave_otp_segments_total";
/// Histogram by `account`: from acceptance to the gateway's yes, in seconds.
pub const ACCEPT_TO_GATEWAY_SECONDS: &str = "clave_otp_accept_to_gateway_seconds";
/// Histogram by `account`: duration of one request to the gateway, in seconds.
pub const GATEWAY_REQUEST_SECONDS: &str = "clave_otp_gateway_request_seconds";
/// Histogram by `account`: messages in one request.
pub const GATEWAY_BATCH_MESSAGES: &str = "clave_otp_gateway_batch_messages";
/// Counter by `cause` (`timeout`, `refused`): TLS handshakes of the gRPC port that failed.
pub const GRPC_HANDSHAKES_FAILED: &str = "clave_otp_grpc_handshakes_failed_total";
/// Counter by `limit` (`source`, `all`): connections of the gRPC port turned away because too many TLS handshakes were under way.
pub const GRPC_HANDSHAKES_TURNED_AWAY: &str = "clave_otp_grpc_handshakes_turned_away_total";
/// Gauge by `file` (the key of the configuration): when what is in it expires, in seconds since 1970.
pub const TLS_EXPIRES: &str = "clave_otp_tls_expiry_timestamp_seconds";
/// Gauge: 1 while the files of `[grpc.tls]` have changed into something that cannot be used, so that the old ones are.
pub const TLS_RELOAD_FAILED: &str = "clave_otp_tls_reload_failed";
/// Gauge by `account`: 1 while its password file has changed into something that cannot be used, so that the old one is presented.
pub const CREDENTIALS_RELOAD_FAILED: &str = "clave_otp_credentials_reload_failed";
/// Gauge by `account`: deliveries that wait.
pub const QUEUE_LENGTH: &str = "clave_otp_queue_deliveries";
/// Gauge by `account` and `alias`: 1 where operators let the alias through today, else 0.
pub const ALIAS_USABLE: &str = "clave_otp_alias_usable";
/// Gauge by `account` and `alias`: days until it may not be used any more, where an end is known.
pub const ALIAS_DAYS_LEFT: &str = "clave_otp_alias_days_left";
/// Gauge by `account` and `alias`: days since its last known use.
pub const ALIAS_DAYS_UNUSED: &str = "clave_otp_alias_days_unused";
/// Gauge by `gateway` and `alias`: 1 while its messages no longer arrive and those of other senders do.
pub const ALIAS_PROBABLY_BLOCKED: &str = "clave_otp_alias_probably_blocked";
/// Gauge: open connections of the gRPC port.
pub const GRPC_CONNECTIONS: &str = "clave_otp_grpc_connections";
/// Counter by `direction`: jumps of the machine's time of day.
pub const CLOCK_JUMPS: &str = "clave_otp_clock_jumps_total";
/// Counter: connections of the gRPC port turned away because all places were taken.
pub const GRPC_CONNECTIONS_REFUSED: &str = "clave_otp_grpc_connections_refused_total";
/// Counter: connections and calls of the gRPC port that were ended because they arrived too slowly.
pub const GRPC_ARRIVAL_TIMEOUTS: &str = "clave_otp_grpc_arrival_timeouts_total";
/// Counter: calls refused because their headers were longer than `grpc.max_header_bytes`.
pub const GRPC_HEADERS_TOO_LONG: &str = "clave_otp_grpc_headers_too_long_total";
/// Gauge: calls of our services that are under way, streams only until they begin.
pub const GRPC_CALLS: &str = "clave_otp_grpc_calls";
/// Gauge by `watched` and `caller`: watches of deliveries that are under way.
pub const WATCHERS: &str = "clave_otp_watchers";
/// Counter by `watched`, `caller` and `limit`: watches of deliveries refused because all places were taken, or all of the caller.
pub const WATCHERS_REFUSED: &str = "clave_otp_watchers_refused_total";
/// Counter: watches of all changes ended because their client did not read.
pub const WATCHERS_CUT_OFF: &str = "clave_otp_watchers_cut_off_total";
/// Counter by `reader`: pages of the log of changes that were read.
pub const CHANGE_PAGES_READ: &str = "clave_otp_change_pages_read_total";
/// Gauge: entries of the log of changes.
pub const CHANGES_KEPT: &str = "clave_otp_changes_kept";
/// Counter: entries of the log of changes that were forgotten.
pub const CHANGES_FORGOTTEN: &str = "clave_otp_changes_forgotten_total";
/// Counter: connections of the operator's port turned away because all places were taken.
pub const ADMIN_CONNECTIONS_REFUSED: &str = "clave_otp_admin_connections_refused_total";
/// Counter: connections of the operator's port that were closed because they took too long.
pub const ADMIN_TIMEOUTS: &str = "clave_otp_admin_timeouts_total";
/// Counter by `account`, `function` and `outcome`: requests to platforms about certified messages.
pub const CERTIFIED_CALLS: &str = "clave_otp_certified_requests_total";
/// Counter by `account`: bytes of certificates handed on.
pub const CERTIFIED_DOWNLOAD_BYTES: &str = "clave_otp_certified_download_bytes_total";
/// Counter by `account` and `cause`: downloads of certificates that ended before their end.
pub const CERTIFIED_DOWNLOADS_CUT: &str = "clave_otp_certified_downloads_cut_total";
/// Gauge: events of certified messages that are kept.
pub const CERTIFIED_EVENTS_KEPT: &str = "clave_otp_certified_events_kept";
/// Counter by `limit`: calls about certified messages refused because of a limit.
pub const CERTIFIED_LIMITED: &str = "clave_otp_certified_limited_total";
