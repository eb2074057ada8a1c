//! A disk of its own for one service: a small file system in a file, which a test can fill, freeze or break.
//!
//! It is mounted in the service's own mount namespace, so that it goes with the process however the test ends.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use super::{
    Files,
    process::{BINARY, Process},
};

/// A file system of 16 MiB in a file; the store's folder of an installation is on it.
pub struct Disk {
    image: PathBuf,
    folder: PathBuf,
    config: PathBuf,
}

impl Disk {
    /// `None` where the machine does not let us mount and nobody insists on it.
    pub fn make(files: &Files) -> Option<Self> {
        let disk = Self {
            image: files.path("disk.img"),
            folder: files.path("data"),
            config: files.path("service.toml"),
        };
        fs::create_dir(&disk.folder).unwrap();
        fs::File::create(&disk.image)
            .and_then(|image| image.set_len(16 << 20))
            .unwrap();
        let made = Command::new("mkfs.ext4")
            .arg("-qF")
            .arg(&disk.image)
            .output();
        let is_made = made.is_ok_and(|output| output.status.success());
        let tried = is_made
            && disk
                .command("true")
                .status()
                .is_ok_and(|status| status.success());
        if tried {
            return Some(disk);
        }
        let must = std::env::var_os("CI").is_some_and(|ci| ci == "true");
        assert!(
            !must,
            "mounting needs root, unshare, mkfs.ext4 and loop devices"
        );
        eprintln!("skipped: mounting needs root, unshare, mkfs.ext4 and loop devices");
        None
    }

    /// A command that runs with the disk mounted.
    fn command(&self, then: &str) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-ec"]);
        command.arg(format!("mount -o loop \"$0\" \"$1\"; exec {then}"));
        command.arg(&self.image).arg(&self.folder);
        command
    }

    /// Starts the service on it.
    pub async fn start(&self) -> Process {
        let mut command = self.command("\"$2\" serve --config \"$3\"");
        command.arg(BINARY).arg(&self.config);
        Process::run(command).await
    }

    /// The store's folder as that service sees it.
    pub fn seen_by(&self, service: &Process) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", service.id()));
        root.join(self.folder.strip_prefix("/").unwrap())
    }

    /// Takes all room that is left; answers the file that has it.
    pub fn fill(&self, service: &Process) -> PathBuf {
        let filler = self.seen_by(service).join("filler");
        // The write ends with an error when nothing is left, which is what is wanted.
        let written = fs::write(&filler, vec![0; 32 << 20]);
        assert!(written.is_err(), "the disk is smaller than that");
        filler
    }

    /// Runs a system command in the service's mount namespace, with the folder as its last argument.
    #[track_caller]
    pub fn system(&self, service: &Process, program: &str, arguments: &[&str]) {
        let mut command = Command::new("nsenter");
        command.args(["--target", &service.id().to_string(), "--mount", program]);
        let Output { status, stderr, .. } =
            command.args(arguments).arg(&self.folder).output().unwrap();
        let told = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{program} {arguments:?}: {told}");
    }

    /// Makes every write wait until the answer is dropped.
    pub fn freeze<'a>(&'a self, service: &'a Process) -> Frozen<'a> {
        self.system(service, "fsfreeze", &["--freeze"]);
        Frozen(self, service)
    }
}

/// A disk on which every write waits.
pub struct Frozen<'a>(&'a Disk, &'a Process);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        self.0.system(self.1, "fsfreeze", &["--unfreeze"]);
    }
}
