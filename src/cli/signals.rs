//! The signals of the system, as `serve` and `demo` understand them.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT stop; SIGHUP is taken note of.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// Kept so that it does not end the process: a limit on file sizes is a trouble of the store, which tells of it.
    _file_size: Signal,
}

/// SIGXFSZ of Linux on all machines that this program is built for.
const FILE_SIZE: i32 = 25;

impl Signals {
    /// Begins to listen: from here on no signal ends the process by itself.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            _file_size: signal(SignalKind::from_raw(FILE_SIZE))?,
        })
    }

    /// Returns at the first request to stop; the second one ends the process at once, with status 1.
    pub(super) async fn first(&mut self) {
        self.stop_asked().await;
        // Ownership of the streams goes to the watcher of the second signal.
        if let Ok(mut second) = Self::listen() {
            tokio::spawn(async move {
                second.stop_asked().await;
                eprintln!("clave-otp: told twice to stop: ending at once");
                std::process::exit(1);
            });
        }
    }

    async fn stop_asked(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    tracing::warn!("SIGHUP: this release reads its configuration at start; restart it for changes to count");
                }
            }
        }
    }
}
