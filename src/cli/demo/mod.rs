//! `clave-otp demo`: the whole product on this machine in one command.
//!
//! Real configuration files, the embedded store, a simulated platform on a socket, the service, and real gRPC calls.

mod certificate;
mod installation;
mod scenes;

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use clap::Args;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use super::signals::Signals;
use crate::{
    app::App,
    clock::{Clock, SystemClock},
    simulator::Simulator,
    telemetry::logs,
};
use installation::Installation;

/// Shows the whole product on this machine: sample administrations, a simulated SMS platform, real calls.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Ends after the deliveries: status 0 when all went as they should, else 1.
    #[arg(long)]
    once: bool,
    /// Port of the gRPC service; 0 takes a free one. Without it 50051, or a free one where that is taken.
    #[arg(long)]
    port: Option<u16>,
}

/// What a person types to try the service.
const USUAL_PORT: u16 = 50051;

impl DemoArgs {
    /// Runs the command.
    pub async fn run(self) -> ExitCode {
        logs::start("error");
        match self.show().await {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(problem) => {
                eprintln!("clave-otp demo: {problem}");
                ExitCode::FAILURE
            }
        }
    }

    async fn show(self) -> Result<bool, String> {
        let mut signals = Signals::listen().map_err(|error| format!("signals: {error}"))?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let simulator = installation::platform(clock.clone()).await?;
        let installation = Installation::write(&simulator)?;
        let app = self.start(&installation, clock).await?;
        let address = app.grpc_address().map_err(|error| error.to_string())?;
        let admin = app.admin_address().map_err(|error| error.to_string())?;
        let stop = CancellationToken::new();
        let service = tokio::spawn(app.run_until_stopped(stop.clone().cancelled_owned()));

        println!("clave-otp demo: everything below happens on this machine\n");
        println!("  simulated platform   {}", simulator.endpoint());
        println!("                       {}", simulator.soap_endpoint());
        println!("                       {}", simulator.rest_endpoint());
        println!("                       {}", simulator.mensatek_base());
        println!("  service (gRPC)       http://{address}");
        println!("  health and metrics   http://{admin}/ready, http://{admin}/metrics");
        println!("  configuration        {}\n", installation.path().display());
        let as_it_should = self.play(address, &simulator).await?;
        if !self.once {
            invite(address);
            signals.first().await;
            println!("\nstopping …");
        }
        stop.cancel();
        service
            .await
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())?;
        simulator.stop().await;
        Ok(as_it_should)
    }

    async fn start(
        &self,
        installation: &Installation,
        clock: Arc<dyn Clock>,
    ) -> Result<App, String> {
        let wanted = match self.port {
            Some(port) => vec![port],
            None if self.once => vec![0],
            None => vec![USUAL_PORT, 0],
        };
        let mut problem = String::new();
        for port in wanted {
            let settings = installation.settings(port)?;
            match App::build(settings, clock.clone()).await {
                Ok(app) => return Ok(app),
                Err(error) => problem = error.to_string(),
            }
        }
        Err(problem)
    }

    async fn play(&self, address: SocketAddr, simulator: &Simulator) -> Result<bool, String> {
        let channel = Channel::from_shared(format!("http://{address}"))
            .map_err(|error| error.to_string())?
            .connect()
            .await
            .map_err(|error| error.to_string())?;
        scenes::play_all(&channel, simulator).await
    }
}

fn invite(address: SocketAddr) {
    println!("The service keeps running until Ctrl-C. In another terminal, try:\n");
    println!(
        "  {} send --server http://{address} --to +34600000042 --administration {} --purpose login\n",
        std::env::current_exe().map_or("clave-otp".into(), |path| path.display().to_string()),
        installation::MADRID
    );
}
