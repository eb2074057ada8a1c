//! Reading the configuration, for the commands that need it.

use std::{path::Path, process::ExitCode};

use crate::{
    app::judge_template,
    config::{Environment, Problems, Settings, Warning},
};

/// Status of a program that was configured wrongly (`EX_CONFIG` of sysexits.h).
pub(super) const EXIT_CONFIGURATION: u8 = 78;

/// A set of settings with what is worth a look, or every mistake.
pub(super) type Loaded = Result<(Settings, Vec<Warning>), Problems>;

/// Reads the set with the environment of this process.
pub(super) fn read_with_warnings(service_file: &Path) -> Loaded {
    Settings::load(service_file, &Environment::of_process(), judge_template)
}

/// Reads the set; says nothing.
pub(super) fn read(service_file: &Path) -> Result<Settings, Problems> {
    read_with_warnings(service_file).map(|(settings, _)| settings)
}

/// Reads the set for a command that runs it: problems go to standard error, one a line, with the status to end with;
/// warnings go to the log.
pub(super) fn load(service_file: &Path) -> Result<Settings, ExitCode> {
    match read_with_warnings(service_file) {
        Ok((settings, warnings)) => {
            for warning in warnings {
                tracing::warn!("configuration: {warning}");
            }
            Ok(settings)
        }
        Err(problems) => {
            eprintln!("{problems}");
            Err(ExitCode::from(EXIT_CONFIGURATION))
        }
    }
}
