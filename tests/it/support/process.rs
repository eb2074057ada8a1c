//! The real program as a process: started, asked, given signals, waited for.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use clave_otp::grpc::proto::{
    CreateDeliveryRequest, Delivery, DeliveryState, GetAccountRequest, GetDeliveryRequest,
    WatchDeliveryRequest, account_service_client::AccountServiceClient,
    delivery_service_client::DeliveryServiceClient,
};
use tonic::{Status, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};
use url::Url;

use super::{Files, PATIENCE, soon};

/// The program.
pub const BINARY: &str = env!("CARGO_BIN_EXE_clave-otp");

/// What `serve` is called with.
pub fn serve(files: &Files) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("serve").arg("--config");
    command.arg(files.path("service.toml"));
    command
}

/// A running service; killed when it is dropped.
pub struct Process {
    child: Child,
    /// Where the API is.
    pub grpc: String,
    /// Where health and metrics are.
    pub admin: SocketAddr,
    log: Arc<Mutex<String>>,
    /// A client of it.
    pub client: DeliveryServiceClient<Channel>,
    channel: Channel,
}

impl Process {
    /// Starts `serve` on an installation.
    pub async fn start(files: &Files) -> Self {
        Self::run(serve(files)).await
    }

    /// Starts a command that becomes `serve`, and waits until it listens.
    pub async fn run(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let errors = BufReader::new(child.stderr.take().unwrap());
        let kept = Arc::clone(&log);
        thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let rest = line.trim().strip_prefix("clave-otp is listening: grpc ");
        let Some((grpc, admin)) = rest.and_then(|rest| rest.split_once(", admin ")) else {
            child.wait().unwrap();
            panic!("it did not start: {line}{}", log.lock().unwrap());
        };
        let grpc = format!("http://{grpc}");
        let channel = Channel::from_shared(grpc.clone()).unwrap();
        let channel = channel.connect().await.unwrap();
        Self {
            child,
            admin: admin.split(", ").next().unwrap().parse().unwrap(),
            log,
            client: DeliveryServiceClient::new(channel.clone()),
            channel,
            grpc,
        }
    }

    /// Its number in the system.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, such as `TERM`.
    pub fn signal(&self, signal: &str) {
        let id = self.id().to_string();
        let signal = format!("-{signal}");
        let sent = Command::new("kill").args([&signal, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// How it ended; that it does is waited for.
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let status = soon(async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    break status;
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await;
        let log = self.log.lock().unwrap().clone();
        (status, log)
    }

    /// Stops it as an operator does; it must end well.
    pub async fn stop(self) {
        self.signal("TERM");
        let (status, log) = self.ended().await;
        assert!(status.success(), "{log}");
    }

    /// Sends one code.
    pub async fn create(&self, request: CreateDeliveryRequest) -> Result<Delivery, Status> {
        let mut client = self.client.clone();
        let response = soon(client.create_delivery(request)).await?;
        Ok(response.into_inner().delivery.unwrap())
    }

    /// The delivery as it is now.
    pub async fn get(&self, name: &str) -> Result<Delivery, Status> {
        let request = GetDeliveryRequest { name: name.into() };
        let mut client = self.client.clone();
        let response = soon(client.get_delivery(request)).await?;
        Ok(response.into_inner().delivery.unwrap())
    }

    /// Waits until the delivery is in this state.
    pub async fn until(&self, name: &str, state: DeliveryState) -> Delivery {
        soon(async {
            loop {
                let delivery = self.get(name).await.unwrap();
                if delivery.state() == state {
                    return delivery;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    }

    /// Where the platform of this account reports.
    pub async fn report_url(&self, account: &str) -> Url {
        let name = format!("accounts/{account}");
        let mut client = AccountServiceClient::new(self.channel.clone());
        let response = soon(client.get_account(GetAccountRequest { name })).await;
        let account = response.unwrap().into_inner().account.unwrap();
        account.report_url.parse().unwrap()
    }

    /// Follows a delivery to its end.
    pub async fn follow(&self, name: &str) -> Delivery {
        let request = WatchDeliveryRequest { name: name.into() };
        let mut client = self.client.clone();
        let mut changes = client.watch_delivery(request).await.unwrap().into_inner();
        let mut last = None;
        while let Some(change) = changes.message().await.unwrap() {
            last = change.delivery;
        }
        last.expect("a watch begins with the delivery")
    }

    /// Follows the health of a service; the empty name is the whole server.
    pub async fn health(&self, service: &str) -> HealthWatch {
        let mut client = HealthClient::new(self.channel.clone());
        let request = HealthCheckRequest {
            service: service.into(),
        };
        HealthWatch(client.watch(request).await.unwrap().into_inner())
    }

    /// The status and the body of one of the operator's pages.
    pub fn page(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.admin).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        (status, body.to_owned())
    }

    /// What a counter shows now, named with its labels as it stands on the page; 0 where it is not there yet.
    pub fn metric(&self, series: &str) -> u64 {
        let (status, page) = self.page("/metrics");
        assert_eq!(status, 200);
        let line = page.lines().find_map(|line| line.strip_prefix(series));
        line.map_or(0, |value| value.trim().parse().unwrap())
    }

    /// Waits until it has logged these words.
    pub async fn logs(&self, words: &str) {
        soon(async {
            while !self.log.lock().unwrap().contains(words) {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Only where a test failed before it ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The health of one service, followed.
pub struct HealthWatch(tonic::Streaming<HealthCheckResponse>);

impl HealthWatch {
    /// Waits until it is this.
    pub async fn until(&mut self, wanted: ServingStatus) {
        soon(async { while self.0.message().await.unwrap().unwrap().status() != wanted {} }).await;
    }
}
