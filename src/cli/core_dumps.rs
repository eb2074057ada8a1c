//! No image of the memory of a process that holds codes and passwords: not when it crashes, not for a debugger.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Switches them off for this process and what it starts. The limit alone does not hold where the system pipes images to a
/// program, such as systemd-coredump; being not dumpable does, and keeps other processes of the same user out of its memory.
pub(super) fn switch_off() -> io::Result<()> {
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
