//! A whole installation for one story: real configuration files, a temporary store, the simulated platform, the service
//! on a free port and a gRPC client.

pub mod disk;
pub mod held_store;
pub mod openapi;
pub mod pki;
pub mod process;

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clave_otp::{
    app::{App, judge_template},
    clock::{Clock, SystemClock},
    config::{Environment, Settings},
    domain::Sender,
    grpc::proto::{
        CreateDeliveryRequest, CreateDeliveryResponse, Delivery, DeliveryState, GetDeliveryRequest,
        ListAccountsRequest, Purpose, WatchDeliveryRequest,
        account_service_client::AccountServiceClient,
        delivery_service_client::DeliveryServiceClient,
    },
    simulator::{Account, Accounts, Script, Simulator, SimulatorOptions},
};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{
    Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};
use tonic_types::StatusExt as _;
use uuid::Uuid;

/// The first administration of the installation; its account has an alias and sends to Portugal.
pub const MADRID: &str = "L01280796";
/// The second one; it sends with 217812 and not abroad.
pub const BARCELONA: &str = "L01080193";
/// API users of the two accounts.
pub const MADRID_LOGIN: &str = "0a1b2c3d-madridtest";
pub const BARCELONA_LOGIN: &str = "4e5f6a7b-barcetest";
/// Password of both accounts at the platform.
pub const PASSWORD: &str = "una-clave-de-prueba";

/// Longest wait for something that must happen: the machine may be busy, so it is generous; nothing waits for it to pass.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The files of an installation.
pub struct Files {
    directory: TempDir,
}

impl Files {
    /// Writes a sound installation whose accounts are at `endpoint`.
    pub fn write(endpoint: &str) -> Self {
        let files = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(files.path("administrations")).unwrap();
        files.secret("madrid.password", PASSWORD);
        files.secret("barcelona.password", PASSWORD);
        files.put("service.toml", SERVICE);
        let madrid = ADMINISTRATION
            .replace("{dir3}", MADRID)
            .replace("{nif}", "P2807900B")
            .replace("{account}", "madrid-mn")
            .replace("{api_user}", MADRID_LOGIN)
            .replace("{password}", "madrid.password")
            .replace("{alias}", "ClaveMadrid")
            .replace("{default_sender}", "ClaveMadrid")
            .replace(
                "{international}",
                "enabled = true\nallowed_regions = [\"PT\"]",
            )
            .replace("{endpoint}", endpoint);
        files.put("administrations/madrid.toml", &madrid);
        let barcelona = ADMINISTRATION
            .replace("{dir3}", BARCELONA)
            .replace("{nif}", "P0801900B")
            .replace("{account}", "barcelona-mn")
            .replace("{api_user}", BARCELONA_LOGIN)
            .replace("{password}", "barcelona.password")
            .replace("{alias}", "ClaveBCN")
            .replace("{default_sender}", "217812")
            .replace("{international}", "enabled = false")
            .replace("{endpoint}", endpoint);
        files.put("administrations/barcelona.toml", &barcelona);
        files
    }

    /// Path of a file of the installation.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file of the installation.
    pub fn put(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Changes a file of the installation; the text must be there.
    pub fn change(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{name} has no {from:?}");
        self.put(name, &text.replace(from, to));
    }

    /// Writes a file that its owner alone can read.
    pub fn secret(&self, name: &str, secret: &str) {
        let path = self.path(name);
        let _ = fs::remove_file(&path);
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(secret.as_bytes()))
            .unwrap();
    }

    /// How the service is called: over TLS where it is served so, as whoever has `tls/caller.pem`.
    pub fn endpoint(&self, address: std::net::SocketAddr) -> Endpoint {
        if !self.path("tls").exists() {
            return Channel::from_shared(format!("http://{address}")).unwrap();
        }
        let _ = rustls::crypto::ring::default_provider().install_default();
        let read = |name: &str| fs::read(self.path(name)).unwrap();
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read("tls/server-ca.pem")))
            .identity(Identity::from_pem(
                read("tls/caller.pem"),
                read("tls/caller.key"),
            ));
        let url = format!("https://localhost:{}", address.port());
        Channel::from_shared(url).unwrap().tls_config(tls).unwrap()
    }

    /// Reads the installation as the service does.
    pub fn settings(&self) -> Settings {
        let environment: Environment = std::iter::empty::<(String, String)>().collect();
        let (settings, _) =
            Settings::load(&self.path("service.toml"), &environment, judge_template).unwrap();
        settings
    }
}

const SERVICE: &str = r#"[grpc]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"

[store]
url = "sqlite://data/clave-otp.db"
sealing_key_file = "data/sealing.key"

[administrations]
directory = "administrations"

[[callers]]
name = "test"
loopback = true
administrations = ["*"]
roles = ["sender", "operator"]
"#;

const ADMINISTRATION: &str = r#"[administration]
dir3 = "{dir3}"
name = "Ayuntamiento de prueba"
nif  = "{nif}"
default_language = "es"

[[accounts]]
id = "{account}"
gateway = "mensajeria-negocios"
endpoint = "{endpoint}"
api_user = "{api_user}"
password_file = "../{password}"
senders = ["{alias}", "217812"]
default_sender = "{default_sender}"
request_timeout_ms = 15000
[accounts.international]
{international}

[[aliases]]
alias = "{alias}"
status = "inscribed"
inscribed_on = 2026-08-03
enabled_gateways = ["mensajeria-negocios"]
"#;

/// The simulated platform with the accounts of [`Files`].
pub async fn platform(script: Script) -> Simulator {
    platform_at(([127, 0, 0, 1], 0).into(), script).await
}

/// The same on a given address.
pub async fn platform_at(address: std::net::SocketAddr, script: Script) -> Simulator {
    let senders = |alias: &str| [Sender::parse(alias).unwrap(), Sender::Common];
    let accounts = Accounts::listed([
        Account::new(MADRID_LOGIN, PASSWORD.into(), senders("ClaveMadrid")),
        Account::new(BARCELONA_LOGIN, PASSWORD.into(), senders("ClaveBCN")),
    ]);
    let options = SimulatorOptions::new(accounts, Arc::new(SystemClock::new()))
        .script(script)
        .keep_all_messages();
    Simulator::start(address, options).await.unwrap()
}

/// A running service with its platform and a client.
pub struct TestApp {
    /// Calls the service.
    pub client: DeliveryServiceClient<Channel>,
    /// The connection of the clients.
    pub channel: Channel,
    /// Looks after its accounts.
    pub accounts: AccountServiceClient<Channel>,
    /// What the service's gateways speak to.
    pub simulator: Simulator,
    /// The installation.
    pub files: Files,
    /// Where the API is served.
    pub grpc: std::net::SocketAddr,
    /// Where health and metrics are served.
    pub admin: std::net::SocketAddr,
    stop: CancellationToken,
    service: JoinHandle<()>,
}

impl TestApp {
    /// Starts everything, with the clock of the machine.
    pub async fn start(script: Script) -> Self {
        Self::start_with(script, Arc::new(SystemClock::new()), |_| {}).await
    }

    /// Starts everything with this clock, after `change` has had its way with the files.
    pub async fn start_with(
        script: Script,
        clock: Arc<dyn Clock>,
        change: impl FnOnce(&Files),
    ) -> Self {
        let simulator = platform(script).await;
        let files = Files::write(&simulator.endpoint());
        change(&files);
        Self::start_on(files, simulator, clock).await
    }

    /// Starts the service on an installation that is there, as after a stop.
    pub async fn start_on(files: Files, simulator: Simulator, clock: Arc<dyn Clock>) -> Self {
        let app = App::build(files.settings(), clock).await.unwrap();
        let address = app.grpc_address().unwrap();
        let admin = app.admin_address().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let service = tokio::spawn(async move { app.run_until_stopped(stopped).await.unwrap() });
        let channel = files.endpoint(address).connect().await.unwrap();
        Self {
            channel: channel.clone(),
            accounts: AccountServiceClient::new(channel.clone()),
            client: DeliveryServiceClient::new(channel),
            simulator,
            files,
            grpc: address,
            admin,
            stop,
            service,
        }
    }

    /// Stops the service as SIGTERM does; the installation and the platform stay.
    pub async fn stop(self) -> (Files, Simulator) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.service)
            .await
            .expect("the service stops")
            .unwrap();
        (self.files, self.simulator)
    }

    /// Sends one code.
    pub async fn create(
        &mut self,
        request: CreateDeliveryRequest,
    ) -> Result<CreateDeliveryResponse, Status> {
        self.client
            .create_delivery(request)
            .await
            .map(tonic::Response::into_inner)
    }

    /// Sends one code that must be taken.
    pub async fn accepted(&mut self, request: CreateDeliveryRequest) -> Delivery {
        self.create(request).await.unwrap().delivery.unwrap()
    }

    /// The reason with which a request is refused.
    pub async fn refused(&mut self, request: CreateDeliveryRequest) -> (tonic::Code, String) {
        let status = self.create(request).await.unwrap_err();
        (status.code(), reason_of(&status))
    }

    /// The page of metrics.
    pub async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.admin);
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::ClientBuilder::new().no_proxy().build().unwrap();
        client.get(&url).send().await.unwrap().text().await.unwrap()
    }

    /// Until the metrics show all of these.
    pub async fn until_metrics(&self, wanted: &[String]) {
        let shown = async {
            loop {
                let text = self.metrics().await;
                if wanted.iter().all(|wanted| text.contains(wanted)) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        soon(shown).await;
    }

    /// Until no account has a request under way: one that is would count for what the clock is moved on.
    pub async fn until_idle(&mut self) {
        soon(async {
            loop {
                let request = ListAccountsRequest::default();
                let told = self.accounts.list_accounts(request).await.unwrap();
                let accounts = told.into_inner().accounts;
                if accounts.iter().all(|account| account.in_flight == 0) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// The delivery as it is now.
    pub async fn get(&mut self, name: &str) -> Delivery {
        let request = GetDeliveryRequest { name: name.into() };
        let response = self.client.get_delivery(request).await.unwrap();
        response.into_inner().delivery.unwrap()
    }

    /// Follows a delivery to its end; the states on its way, and what it ended as.
    pub async fn follow(&mut self, name: &str) -> (Vec<DeliveryState>, Delivery) {
        let request = WatchDeliveryRequest { name: name.into() };
        let mut changes = self
            .client
            .watch_delivery(request)
            .await
            .unwrap()
            .into_inner();
        let mut states = Vec::new();
        let mut last = None;
        let following = async {
            while let Some(change) = changes.message().await.unwrap() {
                let delivery = change.delivery.unwrap();
                states.push(delivery.state());
                last = Some(delivery);
            }
        };
        tokio::time::timeout(PATIENCE, following)
            .await
            .expect("the delivery ends");
        (states, last.expect("a watch begins with the delivery"))
    }

    /// Sends one code that must be taken and follows it to its end.
    pub async fn ends(&mut self, request: CreateDeliveryRequest) -> Delivery {
        let delivery = self.accepted(request).await;
        self.follow(&delivery.name).await.1
    }
}

/// Waits for something that must happen.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what)
        .await
        .expect("it happens soon")
}

/// A request that is taken: a login code of Madrid that lives ten minutes from `now`.
pub fn request_at(now: jiff::Timestamp) -> CreateDeliveryRequest {
    CreateDeliveryRequest {
        request_id: Uuid::new_v4().to_string(),
        administration: MADRID.into(),
        recipient: "+34600000001".into(),
        code: "748291".into(),
        purpose: Purpose::Login.into(),
        language: "es".into(),
        expire_time: Some(seconds_after(now, 600)),
        ..CreateDeliveryRequest::default()
    }
}

/// A request that is taken, by the clock of the machine. Another one to the same number supersedes it while it waits.
pub fn request() -> CreateDeliveryRequest {
    request_at(SystemClock::new().now())
}

/// A request for another citizen, told by a number below 1000.
pub fn request_to(citizen: u32) -> CreateDeliveryRequest {
    CreateDeliveryRequest {
        recipient: format!("+34600000{citizen:03}"),
        ..request()
    }
}

/// A time as the protocol has it.
pub fn seconds_after(now: jiff::Timestamp, seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: now.as_second() + seconds,
        nanos: now.subsec_nanosecond(),
    }
}

/// The stable word of a refusal.
pub fn reason_of(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().expect("every refusal has a reason");
    assert_eq!(info.domain, "clave-otp");
    info.reason.clone()
}

/// Every file of the store, sealing key excepted, as bytes.
pub fn store_bytes(directory: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in fs::read_dir(directory.join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "key") {
            bytes.extend(fs::read(path).unwrap());
        }
    }
    bytes
}
