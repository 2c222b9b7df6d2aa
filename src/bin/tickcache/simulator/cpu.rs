//! CPU time, so that the demo can tell the engine's share from the simulator's.

use std::time::Duration;

/// CPU time used by the calling thread. `None` where the system does not tell.
pub(crate) fn thread_cpu() -> Option<Duration> {
    read(Whose::Thread)
}

/// CPU time used by the whole process. `None` where the system does not tell.
pub(crate) fn process_cpu() -> Option<Duration> {
    read(Whose::Process)
}

enum Whose {
    Thread,
    Process,
}

#[cfg(unix)]
fn read(whose: Whose) -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(match whose {
        Whose::Thread => ClockId::ThreadCPUTime,
        Whose::Process => ClockId::ProcessCPUTime,
    });
    Duration::try_from(time).ok()
}

#[cfg(not(unix))]
fn read(_whose: Whose) -> Option<Duration> {
    None
}
