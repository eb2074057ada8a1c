//! `clave-otp check`: judges the whole configuration without touching anything but files.
//!
//! Must not know: what any key means.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;
use serde_json::json;

use crate::{
    clock::{Clock as _, SystemClock},
    domain::day_in_spain,
};

use super::{
    client::Format,
    configuration::{self, EXIT_CONFIGURATION, Loaded},
};

/// Judges the whole configuration, offline; prints every problem. Ends with 0, or with 78 if there are problems.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The service file; administration files are found through it.
    #[arg(long, value_name = "FILE", default_value = "service.toml")]
    config: PathBuf,
    /// How to print: lines for people, or one JSON object for programs.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

impl CheckArgs {
    /// Judges the set and tells the status to end with.
    pub fn run(self) -> ExitCode {
        let mut result = configuration::read_with_warnings(&self.config);
        if let Ok((settings, warnings)) = &mut result {
            warnings.extend(settings.alias_warnings(day_in_spain(SystemClock::new().now())));
        }
        let status = match &result {
            Ok(_) => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(EXIT_CONFIGURATION),
        };
        let printed = match self.format {
            Format::Text => print_lines(&result),
            Format::Json => print_json(&result),
        };
        match printed {
            // Whoever closed the pipe has read enough; the verdict stands.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
            _ => status,
        }
    }
}

fn print_lines(result: &Loaded) -> io::Result<()> {
    let mut errors = io::stderr().lock();
    let warnings = match result {
        Ok((_, warnings)) => warnings,
        Err(found) => {
            writeln!(errors, "{found}")?;
            &found.warnings
        }
    };
    for warning in warnings {
        writeln!(errors, "warning: {warning}")?;
    }
    if let Ok((settings, _)) = result {
        writeln!(
            io::stdout(),
            "ok: {} administrations, {} accounts",
            settings.administrations.len(),
            settings.accounts()
        )?;
    }
    Ok(())
}

fn print_json(result: &Loaded) -> io::Result<()> {
    let (problems, warnings) = match result {
        Ok((_, warnings)) => (&[][..], warnings),
        Err(found) => (&found.problems[..], &found.warnings),
    };
    let problems: Vec<_> = problems
        .iter()
        .map(|found| json!({"file": found.file, "key": found.key, "problem": found.problem}))
        .collect();
    let warnings: Vec<_> = warnings
        .iter()
        .map(|found| json!({"file": found.file, "key": found.key, "warning": found.warning}))
        .collect();
    writeln!(
        io::stdout(),
        "{}",
        json!({"problems": problems, "warnings": warnings})
    )
}
