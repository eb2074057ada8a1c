//! One turn, in a process of its own, so that its peak of memory is its own too: a paced load on each measured account and
//! another one on all others; how long the measured codes took to the platform, and how much memory the service held.
//!
//! Must not know: other turns, ratios.

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use clave_otp::{
    clock::{Clock as _, SystemClock},
    grpc::proto::{CreateDeliveryRequest, Purpose, delivery_service_client::DeliveryServiceClient},
    telemetry::{self, names},
};
use jiff::Timestamp;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::{Deserialize, Serialize};
use tokio::{task::JoinSet, time::sleep_until};
use tonic::{Code, transport::Channel};
use uuid::Uuid;

use crate::{
    installation::{Installation, MAX_BATCH, MEASURED, QUEUE_LIMIT, dir3, measured_account},
    kind::{Kind, Wire},
    platform::{Platform, Seen},
};

/// Calls that fill the queues come from so many callers.
const FILLERS: usize = 32;

/// Longest time that the lanes may take for what they can send.
const PATIENCE: Duration = Duration::from_secs(60);

/// Codes that each measured account sends before it is measured.
const WARM_UP: u32 = 100;

/// Between the filling and the paced load.
const CALM: Duration = Duration::from_millis(300);

/// Loads and lengths, the same for every kind.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Codes of the measured account over XML-RPC, in a second.
    pub rate: u32,
    /// Codes of the measured account over SOAP, in a second.
    pub soap_rate: u32,
    /// Codes of all other accounts together, in a second.
    pub other_rate: u32,
    /// How long the loads last, in seconds.
    pub seconds: u32,
    /// How many other accounts there are.
    pub others: usize,
    /// What a platform that is well takes for a request.
    pub platform_latency_ms: u64,
}

/// What one turn came to.
#[derive(Debug, Serialize, Deserialize)]
pub struct Turn {
    /// From the moment when the call was due to the moment when the platform had the message, in milliseconds, in order; of
    /// each measured account.
    pub latencies_ms: [Vec<f64>; 2],
    /// Calls for the other accounts under the paced load, and how many of them were refused because the queue was full.
    pub other_calls: u64,
    /// See [`Self::other_calls`].
    pub other_refusals: u64,
    /// Messages of the other accounts that came to the platform.
    pub other_messages: u64,
    /// Resident memory before any load, in MiB.
    pub memory_at_start: f64,
    /// The most that was resident at any time.
    pub memory_at_peak: f64,
    /// Resident under the last of the load.
    pub memory_at_end: f64,
}

impl Turn {
    /// Runs it in a process of its own.
    pub fn of(kind: Kind, plan: Plan) -> Self {
        let program = std::env::current_exe().expect("a program knows where it is");
        let output = Command::new(program)
            .args(["--part", "turn", "--kind", kind.name()])
            .args(["--rate", &plan.rate.to_string()])
            .args(["--soap-rate", &plan.soap_rate.to_string()])
            .args(["--other-rate", &plan.other_rate.to_string()])
            .args(["--seconds", &plan.seconds.to_string()])
            .args(["--others", &plan.others.to_string()])
            .args([
                "--platform-latency-ms",
                &plan.platform_latency_ms.to_string(),
            ])
            .stderr(Stdio::inherit())
            .output()
            .expect("this program starts again");
        assert!(output.status.success(), "the turn failed: {}", kind.name());
        serde_json::from_slice(&output.stdout).expect("the turn tells its figures")
    }
}

/// The callers, and what they need to make their requests.
#[derive(Clone)]
struct Callers {
    measured: DeliveryServiceClient<Channel>,
    others: DeliveryServiceClient<Channel>,
    other_count: usize,
    expire_time: prost_types::Timestamp,
}

/// Runs one turn in this process. The service has the threads of its own runtime; the callers are one thread beside them.
pub fn run(kind: Kind, plan: Plan) -> Turn {
    let runtime = |builder: &mut tokio::runtime::Builder| {
        let built = builder.enable_all().build();
        built.expect("the system gives threads")
    };
    let for_service = runtime(&mut tokio::runtime::Builder::new_multi_thread());
    let for_callers = runtime(&mut tokio::runtime::Builder::new_current_thread());
    let platform = Platform::start(kind, plan.platform_latency_ms, plan.others);
    let service = for_service.block_on(Installation::start(&platform.endpoints, plan.others));
    // The service has started them: this is the same handle.
    let metrics = telemetry::metrics::start().expect("the metrics have been set up");
    let turn = for_callers.block_on(play(kind, plan, &service, platform, &metrics));
    // Lanes that are stuck need not be waited for.
    for_service.shutdown_background();
    turn
}

async fn play(
    kind: Kind,
    plan: Plan,
    service: &Installation,
    platform: Platform,
    metrics: &PrometheusHandle,
) -> Turn {
    let clock = SystemClock::new();
    let callers = Callers::connect(service, plan.others, clock.now()).await;
    for wire in Wire::BOTH {
        for number in 0..WARM_UP {
            let taken = callers.measured(wire, 400_000 + number).await;
            assert!(taken, "the measured account's queue is never full");
        }
    }
    let warm_up = u64::from(WARM_UP) * Wire::BOTH.len() as u64;
    // Over SOAP they take half a second: what is left of them would be measured as sickness.
    until_measured_are_sent(metrics, [u64::from(WARM_UP); 2]).await;
    let memory_at_start = memory_mib("VmRSS");
    let mut other_calls = 0;
    if kind != Kind::Alone {
        other_calls = callers.fill_queues().await;
    }
    if kind.is_well() {
        until_sent(metrics, "", warm_up + other_calls).await;
    }
    tokio::time::sleep(CALM).await;

    let other_rate = if kind == Kind::Alone {
        0
    } else {
        plan.other_rate
    };
    let begin = (clock.now(), Instant::now());
    let others = {
        let callers = callers.clone();
        paced(begin.1, other_rate, plan.seconds, move |index| {
            let callers = callers.clone();
            async move { callers.other(200_000 + index).await }
        })
    };
    let measured = |wire: Wire| {
        let callers = callers.clone();
        paced(begin.1, plan.rate_of(wire), plan.seconds, move |index| {
            let callers = callers.clone();
            async move { callers.measured(wire, index).await }
        })
    };
    let (over_xml_rpc, over_soap, others) =
        tokio::join!(measured(Wire::XmlRpc), measured(Wire::Soap), others);
    let memory_at_end = memory_mib("VmRSS");
    let refused = over_xml_rpc.refused + over_soap.refused;
    assert_eq!(refused, 0, "a measured account refused a code");
    let calls = [over_xml_rpc.calls, over_soap.calls];
    until_measured_are_sent(metrics, calls.map(|calls| u64::from(WARM_UP) + calls)).await;
    let memory_at_peak = memory_mib("VmHWM");
    let seen = platform.end();
    let latencies_ms = Wire::BOTH.map(|wire| latencies_ms(plan, wire, begin.0, &seen));
    Turn {
        latencies_ms,
        other_calls: others.calls,
        other_refusals: others.refused,
        other_messages: seen.from_others,
        memory_at_start,
        memory_at_peak,
        memory_at_end,
    }
}

/// How long the codes of a measured account took, in order.
fn latencies_ms(plan: Plan, wire: Wire, begin: Timestamp, seen: &Seen) -> Vec<f64> {
    let rate = plan.rate_of(wire);
    let latency_ms = |index: u32| {
        let due = begin + after(index, rate);
        let came = seen.healthy.get(&(600_000_000 + phone(wire, index)));
        let came = came.expect("each code of the measured accounts comes");
        came.duration_since(due).as_secs_f64() * 1e3
    };
    let mut latencies: Vec<f64> = (0..rate * plan.seconds).map(latency_ms).collect();
    latencies.sort_by(f64::total_cmp);
    latencies
}

impl Plan {
    fn rate_of(&self, wire: Wire) -> u32 {
        match wire {
            Wire::XmlRpc => self.rate,
            Wire::Soap => self.soap_rate,
        }
    }
}

/// The phone of a measured code, without its first three digits; the two accounts have half a million each.
fn phone(wire: Wire, index: u32) -> u32 {
    match wire {
        Wire::XmlRpc => index,
        Wire::Soap => 500_000 + index,
    }
}

impl Callers {
    async fn connect(service: &Installation, other_count: usize, now: Timestamp) -> Self {
        let open = || async {
            DeliveryServiceClient::connect(format!("http://{}", service.address))
                .await
                .expect("the service listens")
        };
        let life_seconds = 25 * 60;
        Self {
            measured: open().await,
            others: open().await,
            other_count,
            expire_time: prost_types::Timestamp {
                seconds: now.as_second() + life_seconds,
                nanos: 0,
            },
        }
    }

    async fn measured(&self, wire: Wire, index: u32) -> bool {
        let administration = MEASURED[wire as usize];
        let request = self.request(administration, phone(wire, index));
        call(self.measured.clone(), request).await
    }

    /// For one of the other accounts, which take turns.
    async fn other(&self, number: u32) -> bool {
        let account = 1 + number as usize % self.other_count;
        call(self.others.clone(), self.request(account, number)).await
    }

    /// Offers each of the other accounts as many codes as can wait, and a request's worth beyond; tells how many were taken.
    async fn fill_queues(&self) -> u64 {
        let calls = self.other_count * (QUEUE_LIMIT + MAX_BATCH);
        let mut fillers = JoinSet::new();
        for first in 0..FILLERS {
            let callers = self.clone();
            fillers.spawn(async move {
                let mut taken = 0;
                for number in (first..calls).step_by(FILLERS) {
                    let number = u32::try_from(number).expect("a small count");
                    taken += u64::from(callers.other(number).await);
                }
                taken
            });
        }
        fillers.join_all().await.into_iter().sum()
    }

    fn request(&self, administration: usize, number: u32) -> CreateDeliveryRequest {
        CreateDeliveryRequest {
            request_id: Uuid::new_v4().to_string(),
            administration: dir3(administration),
            recipient: format!("+34600{number:06}"),
            code: format!("{:06}", 999_999 - number),
            purpose: Purpose::Login.into(),
            language: "es".to_owned(),
            expire_time: Some(self.expire_time),
            ..CreateDeliveryRequest::default()
        }
    }
}

/// Whether the code was taken; a full queue is the only refusal that may come.
async fn call(mut client: DeliveryServiceClient<Channel>, request: CreateDeliveryRequest) -> bool {
    match client.create_delivery(request).await {
        Ok(_) => true,
        Err(status) if status.code() == Code::Unavailable => false,
        Err(status) => panic!("refused: {status}"),
    }
}

/// What a paced load came to.
#[derive(Default)]
struct Load {
    calls: u64,
    refused: u64,
}

/// Makes each call when it is due, whether or not earlier ones have been answered.
async fn paced<F>(begin: Instant, rate: u32, seconds: u32, make_call: impl Fn(u32) -> F) -> Load
where
    F: Future<Output = bool> + Send + 'static,
{
    let mut under_way = JoinSet::new();
    for index in 0..rate * seconds {
        sleep_until((begin + after(index, rate)).into()).await;
        under_way.spawn(make_call(index));
    }
    let mut load = Load::default();
    for taken in under_way.join_all().await {
        load.calls += 1;
        load.refused += u64::from(!taken);
    }
    load
}

/// When the call of this index is due.
fn after(index: u32, rate: u32) -> Duration {
    Duration::from_secs(1) * index / rate
}

/// Returns when the gateways have taken so many messages of each measured account.
async fn until_measured_are_sent(metrics: &PrometheusHandle, counts: [u64; 2]) {
    for (wire, count) in Wire::BOTH.into_iter().zip(counts) {
        let label = format!("account=\"{}\"", measured_account(wire));
        until_sent(metrics, &label, count).await;
    }
}

/// Returns when the gateways have taken so many messages of the accounts whose labels hold `label`.
async fn until_sent(metrics: &PrometheusHandle, label: &str, count: u64) {
    let begin = Instant::now();
    loop {
        let sent = sent(&metrics.render(), label);
        if sent >= count {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "{sent} sent of {count}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Attempts that ended as sent, from the text that Prometheus reads.
fn sent(text: &str, label: &str) -> u64 {
    let samples = text.lines().filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        let labels = name.strip_prefix(names::ATTEMPTS)?;
        let counts = labels.contains(label) && labels.contains("outcome=\"sent\"");
        counts.then(|| value.parse::<u64>().ok())?
    });
    samples.sum()
}

/// A figure of this process's memory (proc(5): `status`, in KiB); NaN where there is no such file.
fn memory_mib(key: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|line| {
        let value = line.strip_prefix(key)?.strip_prefix(':')?;
        value.split_whitespace().next()?.parse::<f64>().ok()
    });
    kib.map_or(f64::NAN, |kib| kib / 1024.0)
}
