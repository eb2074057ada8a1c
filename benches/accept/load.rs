//! The callers: a fixed number of calls, each caller with one call in flight; how long they took and what they cost.
//!
//! Must not know: which server answers.

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use clave_otp::grpc::proto::{
    CreateDeliveryRequest, CreateDeliveryResponse, Purpose,
    delivery_service_client::DeliveryServiceClient,
};
use tonic::transport::Channel;
use uuid::Uuid;

use crate::installation::ADMINISTRATION;

/// Connections to one server.
pub struct Callers {
    connections: Vec<DeliveryServiceClient<Channel>>,
    per_connection: usize,
}

/// What one round of calls came to.
pub struct Round {
    /// Answers in a second.
    pub calls_per_second: f64,
    /// Half of the answers came within this time, in milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 answers came within this time, in milliseconds.
    pub p99_ms: f64,
    /// Processor time of the whole program for each call, callers included, in microseconds.
    pub cpu_us: f64,
}

impl Callers {
    /// Opens the connections.
    pub async fn connect(address: SocketAddr, connections: usize, per_connection: usize) -> Self {
        let mut open = Vec::with_capacity(connections);
        for _ in 0..connections {
            let endpoint = format!("http://{address}");
            let client = DeliveryServiceClient::connect(endpoint)
                .await
                .expect("the server listens");
            open.push(client);
        }
        Self {
            connections: open,
            per_connection,
        }
    }

    /// One call, outside of any round.
    pub async fn call(&self, request: CreateDeliveryRequest) -> CreateDeliveryResponse {
        let mut client = self.connections[0].clone();
        let answer = client.create_delivery(request).await;
        answer.expect("the call is answered").into_inner()
    }

    /// Makes all the calls, every caller at once.
    pub async fn round(&self, requests: Vec<CreateDeliveryRequest>) -> Round {
        let callers = self.connections.len() * self.per_connection;
        self.round_of(callers, requests).await
    }

    /// Makes all the calls, one at a time.
    pub async fn round_of_one(&self, requests: Vec<CreateDeliveryRequest>) -> Round {
        self.round_of(1, requests).await
    }

    /// The requests are shared out evenly before the watch starts.
    async fn round_of(&self, callers: usize, requests: Vec<CreateDeliveryRequest>) -> Round {
        let calls = requests.len();
        let mut shares = vec![Vec::with_capacity(calls.div_ceil(callers)); callers];
        for (index, request) in requests.into_iter().enumerate() {
            shares[index % callers].push(request);
        }
        let cpu_before = cpu_time();
        let begin = Instant::now();
        let running: Vec<_> = shares
            .into_iter()
            .enumerate()
            .map(|(caller, share)| {
                let client = self.connections[caller % self.connections.len()].clone();
                tokio::spawn(make_calls(client, share))
            })
            .collect();
        let mut latencies = Vec::with_capacity(calls);
        for caller in running {
            latencies.extend(caller.await.expect("a caller ends well"));
        }
        let took = begin.elapsed();
        let cpu = cpu_time().saturating_sub(cpu_before);
        latencies.sort_unstable();
        let percentile = |hundredths: usize| {
            let index = (calls * hundredths / 100).min(calls - 1);
            latencies[index].as_secs_f64() * 1e3
        };
        #[allow(clippy::cast_precision_loss, reason = "counts of calls are small")]
        let calls = calls as f64;
        Round {
            calls_per_second: calls / took.as_secs_f64(),
            p50_ms: percentile(50),
            p99_ms: percentile(99),
            cpu_us: cpu.as_secs_f64() * 1e6 / calls,
        }
    }
}

async fn make_calls(
    mut client: DeliveryServiceClient<Channel>,
    requests: Vec<CreateDeliveryRequest>,
) -> Vec<Duration> {
    let mut latencies = Vec::with_capacity(requests.len());
    for request in requests {
        let begin = Instant::now();
        let answer = client.create_delivery(request).await;
        latencies.push(begin.elapsed());
        let delivery = answer.expect("every call is taken").into_inner().delivery;
        assert!(delivery.is_some(), "every answer carries a delivery");
    }
    latencies
}

/// Requests that differ in id, number and code, as those of citizens do.
pub struct Requests {
    next: u32,
    expire_time: prost_types::Timestamp,
}

impl Requests {
    /// All their codes stop being worth anything at `expire_time`.
    pub fn expiring_at(expire_time: prost_types::Timestamp) -> Self {
        Self {
            next: 0,
            expire_time,
        }
    }

    /// The next so many.
    pub fn take(&mut self, count: usize) -> Vec<CreateDeliveryRequest> {
        (0..count).map(|_| self.one()).collect()
    }

    /// The next one.
    pub fn one(&mut self) -> CreateDeliveryRequest {
        let number = self.next % 1_000_000;
        self.next += 1;
        CreateDeliveryRequest {
            request_id: Uuid::new_v4().to_string(),
            administration: ADMINISTRATION.to_owned(),
            recipient: format!("+34600{number:06}"),
            code: format!("{:06}", 999_999 - number),
            purpose: Purpose::Login.into(),
            language: "es".to_owned(),
            expire_time: Some(self.expire_time),
            ..CreateDeliveryRequest::default()
        }
    }
}

/// Processor time that all threads of this program have used (proc(5): fields 14 and 15 of `stat`, in hundredths of a
/// second as Linux tells them to programs on every architecture). Zero where there is no such file.
fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the program's name in parentheses, which may hold spaces.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 10)
}
